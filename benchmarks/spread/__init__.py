"""What workers that read passages bring, and what they cost."""
