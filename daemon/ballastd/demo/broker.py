"""An MQTT broker inside this process, on loopback: for the demo alone. Production wants a broker of its own."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading

from ballastd.errors import ConfigurationError

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS = 10.0, 3.0
_LIBRARIES = ("amqtt", "transitions")


class EmbeddedBroker:
    """Has a thread and an event loop of its own, so that a daemon that plans for long starves nobody.

    Its port is any free one; ``port`` says which after ``start``.
    """

    def __init__(self) -> None:
        self.port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._trouble: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def start(self) -> None:
        """Return once it takes connections.

        Raises:
            ConfigurationError: the extra ``demo`` is not installed, or the broker does not start.
        """
        try:
            import amqtt.broker  # noqa: F401  whether it is there
        except ImportError as error:
            raise ConfigurationError((
                f"the demo's broker is not installed ({error}): pip install 'ballastd[demo]'",)) from error
        for name in _LIBRARIES:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._trouble is not None:
            raise ConfigurationError((f"the demo's broker did not start: {self._trouble or 'no word from it'}",))

    def stop(self) -> None:
        """Close every connection and end."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(START_SECONDS)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  told to whoever started it
            self._trouble = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from amqtt.adapters import StreamReaderAdapter, StreamWriterAdapter
        from amqtt.broker import Broker

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        # it listens and closes for itself: of connections that end with the broker the library leaves some open
        broker = Broker({
            "listeners": {"default": {"type": "external", "bind": f"{HOST}:0"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        })
        served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.closing(writer), contextlib.suppress(ConnectionError):
                await broker.external_connected(StreamReaderAdapter(reader), StreamWriterAdapter(writer), "default")

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(serve(reader, writer))
            served[task] = writer
            task.add_done_callback(served.pop)

        await broker.start()
        server = await asyncio.start_server(connected, HOST, 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            await broker.shutdown()
            for writer in served.values():
                writer.close()
            if served:
                await asyncio.wait(tuple(served), timeout=STOP_SECONDS)
            await server.wait_closed()
