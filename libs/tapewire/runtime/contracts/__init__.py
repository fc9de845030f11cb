"""What services ask of each other: request and reply structs, a module a service.

They are here so that a caller (the gateway, a strategy's runner) needs no import of the service.
Structs only, no behavior: what a field may hold is judged by the service that answers.
"""
