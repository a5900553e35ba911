"""What the users service is told by its environment (12-factor): nothing else configures it."""

import os

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://shop:shop@localhost:5432/shop")
REDIS_URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
CACHE_SECONDS = int(os.environ.get("CACHE_SECONDS", "60"))
DATABASE_CONNECTIONS_MAX = int(os.environ.get("DATABASE_CONNECTIONS_MAX", "8"))
