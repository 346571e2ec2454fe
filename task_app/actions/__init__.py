"""Every write.  An action takes the transaction and the `Call`, checks access, changes rows and
records events; it returns the answer's body.  It never commits, never emits and knows no
transport; it may run again from the start when the database asks for another try."""
