"""The gateway process."""

from gateway.config import GatewaySettings
from gateway.server import open_gateway
from mesh.process import run, until_signal


async def main() -> None:
    """Serves until SIGTERM or SIGINT, then drains."""
    async with open_gateway(GatewaySettings()):
        await until_signal()


if __name__ == "__main__":
    run(main, name="gateway")
