"""HTTP/1.1 for eventlet: `requests` reads, `responses` writes, `server` is the connections.

eventlet.wsgi is not used: a third of a request's time was its parsing of the header lines, it
spends a greenlet on every idle connection, and bounds each pause of a client but no whole
request, so that a byte every few seconds keeps a connection for ever.
"""
