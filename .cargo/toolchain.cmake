# Read by every CMake build of a dependency (see config.toml). A dev build would otherwise compile the codecs without
# optimisation and with their assertions: an AVIF picture would then take half a minute, and a broken one would abort.
set(CMAKE_C_FLAGS_DEBUG "-O2 -DNDEBUG" CACHE STRING "")
set(CMAKE_CXX_FLAGS_DEBUG "-O2 -DNDEBUG" CACHE STRING "")
