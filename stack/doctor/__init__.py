"""What ``gaji doctor`` looks at, by what it is about; each check yields findings and never raises for what it finds."""
