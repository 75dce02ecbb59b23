"""A gateway on any free port: prints its address, serves until it is terminated, obeys `benchmarks.tracing.modes`."""

import uvloop

from benchmarks.tracing.modes import switched
from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.process import until_signal


async def main() -> None:
    """Serves."""
    settings = GatewaySettings(listen="127.0.0.1:0", admin_listen="127.0.0.1:0")
    async with switched("gateway"), open_gateway(settings) as running:
        print(running.address, flush=True)
        await until_signal()


if __name__ == "__main__":
    uvloop.run(main())
