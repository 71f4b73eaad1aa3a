"""Stand-ins for the providers: each checks a send as its vendor documents it and refuses it as the vendor would.

What one accepts goes into the outbox. The demo sends through them: a real adapter does its work, nobody is written to.
"""
