// Connection state recovery with packets as MessagePack.
"use strict";

process.env.SIO_PARSER = "msgpack";
require("./recovery.test.js");
