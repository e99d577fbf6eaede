"""Programs that use the client. Each can be read in five minutes and run by itself."""
