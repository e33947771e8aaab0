"""One Spark session, set for a laptop and quiet; a cluster is another master URL."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from data.java import java_home
from data.progress import stage
from data.workspace import home, write_atomically

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The root stays at Spark's own default level, or Spark says on the terminal that it changed it.
QUIET = """rootLogger.level = warn
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.filter.errors.type = ThresholdFilter
appender.stderr.filter.errors.level = error
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} spark %p %c{1}: %m%n
"""


@contextmanager
def session(master: str = "local[*]") -> Iterator[SparkSession]:
    """Start Spark, and stop it when the block ends: the JVM's memory is needed by the next step.

    A session that runs already (an explorer's notebook) is used and left running.
    """
    from pyspark.sql import SparkSession

    running = SparkSession.getActiveSession()
    if running is not None:
        yield running
        return
    with stage("spark") as done:
        started = _start(master)
        done.said = f"Spark {started.version} on {master}"
    try:
        yield started
    finally:
        started.stop()


def _start(master: str) -> SparkSession:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

    warnings.filterwarnings(
        "ignore", message="PySpark does not yet fully support pandas"
    )  # only Arrow is used
    local = master.startswith("local")
    scratch = home() / "spark"
    scratch.mkdir(parents=True, exist_ok=True)
    if SparkContext._gateway is None:  # otherwise this process has its JVM already
        os.environ["JAVA_HOME"] = str(java_home())
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    settings = {
        "spark.app.name": "mailroom",
        "spark.master": master,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",  # sorts and joins spill beyond it
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile={_quiet_logging(scratch)} -Djava.io.tmpdir={scratch} "
            "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto"
        ),
        "spark.local.dir": str(scratch),
        "spark.sql.warehouse.dir": str(scratch / "warehouse"),
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "2000",
        "spark.sql.execution.arrow.maxBytesPerBatch": str(32 << 20),
        "spark.sql.files.openCostInBytes": "4096",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.hadoop.parquet.block.size": str(2 << 20),  # row groups are what chunking is shared out by
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs": "false",
        "spark.sql.shuffle.partitions": "8" if local else "200",
        "spark.python.worker.reuse": "true",
    }
    if local:
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def _quiet_logging(scratch: Path) -> Path:
    path = scratch / "log4j2.properties"
    if not path.exists() or path.read_text() != QUIET:
        with write_atomically(path) as temporary:
            temporary.write_text(QUIET)
    return path
