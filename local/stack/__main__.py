"""`make run`: run the whole system on one machine until Ctrl-C."""

from local.stack.gateway import leave, main

leave(main())
