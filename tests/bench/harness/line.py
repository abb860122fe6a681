"""A long line on one machine: a TCP relay that passes bytes on late and at a limited rate. Its own process, because
a thread would share the interpreter with the sampler.

What it cannot show is TCP's own part: it takes bytes from the sender at once, so that the kernel never waits for a
window. What is left is what the programs wait for: their questions, their credits, their acknowledgements."""
import asyncio
import multiprocessing
import socket

PIECE = 64 << 10


class Direction:
    """Bytes of one connection on their way to one side."""

    def __init__(self, reader, writer, delay_s, bytes_per_s):
        self.reader, self.writer, self.delay_s, self.bytes_per_s = reader, writer, delay_s, bytes_per_s
        self.underway = asyncio.Queue()

    async def take(self):
        loop, free_s = asyncio.get_running_loop(), 0.0
        while piece := await self.reader.read(PIECE):
            free_s = max(free_s, loop.time()) + len(piece) / self.bytes_per_s
            self.underway.put_nowait((free_s + self.delay_s, piece))
            await asyncio.sleep(max(0.0, free_s - loop.time() - 0.005))  # the line is busy until then
        self.underway.put_nowait((free_s + self.delay_s, None))

    async def give(self):
        loop = asyncio.get_running_loop()
        while True:
            due_s, piece = await self.underway.get()
            if due_s > loop.time():
                await asyncio.sleep(due_s - loop.time())
            if piece is None:
                break
            self.writer.write(piece)
            await self.writer.drain()
        self.writer.close()


async def serve(listener, target_port, delay_s, bytes_per_s):
    async def connect(reader, writer):
        try:
            there = await asyncio.open_connection("127.0.0.1", target_port)
            ways = (Direction(reader, there[1], delay_s, bytes_per_s), Direction(there[0], writer, delay_s, bytes_per_s))
            await asyncio.gather(*(part for way in ways for part in (way.take(), way.give())))
        except OSError:
            writer.close()

    server = await asyncio.start_server(connect, sock=listener)
    await server.serve_forever()


class Line:
    """Listens at `port`; each direction has half of the round trip, and a rate of its own."""

    def __init__(self, target_port, round_trip_s, bytes_per_s):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        self.process = multiprocessing.get_context("fork").Process(
            target=lambda: asyncio.run(serve(listener, target_port, round_trip_s / 2, bytes_per_s)), daemon=True)
        self.process.start()
        listener.close()

    def stop(self):
        self.process.terminate()
        self.process.join()
