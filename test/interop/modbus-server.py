#!/usr/bin/python3
"""A Modbus server on pymodbus, over TCP or on a serial line: a peer that shares no code with Tidegate.

Reads one JSON object from its first line of standard input, unit id -> table -> first address -> words or bits:
{"1": {"holding": {"100": [17254, 32768]}, "coil": {"0": [true, false]}}}. What is not named answers exception 02;
units not named do not answer at all. Prints the port it listens on, or "serial" when its argument is the path of a serial
port (with "ascii" behind it in ASCII, else in RTU). Each further line sets values in the same form. Ends when its input ends.
"""
import asyncio
import json
import sys

from pymodbus.datastore import ModbusServerContext, ModbusSlaveContext, ModbusSparseDataBlock
from pymodbus.server.async_io import ModbusSerialServer, ModbusTcpServer
from pymodbus.transaction import ModbusAsciiFramer, ModbusRtuFramer

TABLES = {"discrete": ("d", 2), "coil": ("c", 1), "input": ("i", 4), "holding": ("h", 3)}


def block(areas):
    words = {int(first) + offset: word for first, values in areas.items() for offset, word in enumerate(values)}
    # pymodbus takes an empty block for "every address"; one register far away stands for none.
    return ModbusSparseDataBlock(words or {65535: 0})


def slave(tables):
    initial = {"d": "di", "c": "co", "i": "ir", "h": "hr"}
    blocks = {initial[letter]: block(tables.get(name, {})) for name, (letter, _) in TABLES.items()}
    return ModbusSlaveContext(zero_mode=True, **blocks)


async def follow(lines, slaves):
    while line := await lines.readline():
        for unit, tables in json.loads(line).items():
            for name, areas in tables.items():
                for first, values in areas.items():
                    slaves[int(unit)].setValues(TABLES[name][1], int(first), values)


async def main():
    lines = asyncio.StreamReader(limit=2**20)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    slaves = {int(unit): slave(tables) for unit, tables in json.loads(await lines.readline()).items()}
    context = ModbusServerContext(slaves=slaves, single=False)
    place = sys.argv[1] if len(sys.argv) > 1 else "0"
    if place.startswith("/"):
        framer = ModbusAsciiFramer if sys.argv[2:] == ["ascii"] else ModbusRtuFramer
        server = ModbusSerialServer(context, framer, port=place, baudrate=9600, ignore_missing_slaves=True)
        await server.start()
        serving = asyncio.ensure_future(server.serve_forever())
        print("serial", flush=True)
        await follow(lines, slaves)
        serving.cancel()
        return
    server = ModbusTcpServer(
        context,
        address=("127.0.0.1", int(place)),
        allow_reuse_address=True,
        ignore_missing_slaves=True,
    )
    serving = asyncio.ensure_future(server.serve_forever())
    await server.serving
    print(server.server.sockets[0].getsockname()[1], flush=True)
    await follow(lines, slaves)
    serving.cancel()


asyncio.run(main())
