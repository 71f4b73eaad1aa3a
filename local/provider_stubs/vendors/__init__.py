"""One stand-in a module. Each has ACCOUNTS, and a `blueprint` of routes, or `serve` for what is no HTTP."""
