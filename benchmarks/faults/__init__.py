"""What readers see when processes are killed: real processes, real kills, every reply checked word by word."""
