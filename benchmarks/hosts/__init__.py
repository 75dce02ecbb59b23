"""The stack on five hosts, whose cables are cut and which are lost, while every reply is checked word by word."""
