"""A simulated AWS to learn, demo, drill and test against.

`python -m simulator --port N --data DIR` serves it; `simulator.server.Simulator` runs it inside a
test process. It is moto behind a gateway of our own: the gateway decides who may call, keeps a
CloudTrail-shaped log, answers dry runs, injects faults, and journals what changes state. Nothing
in production code imports this package, and this package needs no Django.
"""
