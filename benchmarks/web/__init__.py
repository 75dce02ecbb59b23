"""What the web app costs a browser: frames while a long reply comes, memory over many replies."""
