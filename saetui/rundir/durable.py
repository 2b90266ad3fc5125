from saetui.formats.durable import fsync_directory as fsync_directory
from saetui.formats.durable import fsync_file as fsync_file
from saetui.formats.durable import write_durably as write_durably
