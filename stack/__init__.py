"""Everything on one machine: embedded servers, the supervisor of all processes, the ``gaji`` command."""
