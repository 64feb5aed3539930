"""Everything of the bus that depends on how aiormq, aio-pika and asyncio's streams work inside.

transport.py opens connections through aiormq's exported `TransportFactory`. Its reader passes the broker's
bytes through a tap (tap.py), which takes the messages, the confirms and the alarms; aiormq reads the other
frames. Its writer also takes frames of ours, so that a batch of messages or acknowledgements is one write.
The rest of the program uses aiormq_connection.py.

The reasons are speed and survival: aiormq starts a task for each delivery, and closes the connection over a
message whose properties pamqp cannot decode (docs/decisions/0039). tests/style/test_private_parts.py lists
every undocumented part and fails by its name if it disappears.
"""
