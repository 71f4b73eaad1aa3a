"""A bulk send and the fortnight after it, in virtual time: the real handlers, with the limits of a deployment."""
