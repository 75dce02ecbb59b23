"""A gateway on any free port: prints its address and serves until it is terminated."""

import uvloop

from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.process import until_signal
from mesh.telemetry.spans import tracing


async def main() -> None:
    """Serves."""
    settings = GatewaySettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0")
    async with open_gateway(settings) as running:
        print(running.address, flush=True)
        await until_signal()


if __name__ == "__main__":
    with tracing("gateway"):
        uvloop.run(main())
