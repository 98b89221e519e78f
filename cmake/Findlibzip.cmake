# Debian's own libzip config file insists on the zipcmp, zipmerge and ziptool programs, which are packaged apart from
# the library and are not needed here. This module finds the library alone and gives the same target, libzip::zip.
find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_libzip QUIET libzip)
endif()
find_path(libzip_INCLUDE_DIR zip.h HINTS ${PC_libzip_INCLUDE_DIRS})
find_path(libzip_CONFIG_INCLUDE_DIR zipconf.h HINTS ${PC_libzip_INCLUDE_DIRS})
find_library(libzip_LIBRARY NAMES zip libzip HINTS ${PC_libzip_LIBRARY_DIRS})
if(libzip_CONFIG_INCLUDE_DIR)
  file(STRINGS "${libzip_CONFIG_INCLUDE_DIR}/zipconf.h" libzip_version_line REGEX "^#define LIBZIP_VERSION \"")
  string(REGEX REPLACE ".*\"([^\"]*)\".*" "\\1" libzip_VERSION "${libzip_version_line}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(libzip
  REQUIRED_VARS libzip_LIBRARY libzip_INCLUDE_DIR libzip_CONFIG_INCLUDE_DIR VERSION_VAR libzip_VERSION)
if(libzip_FOUND AND NOT TARGET libzip::zip)
  add_library(libzip::zip UNKNOWN IMPORTED)
  set_target_properties(libzip::zip PROPERTIES
    IMPORTED_LOCATION "${libzip_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${libzip_INCLUDE_DIR};${libzip_CONFIG_INCLUDE_DIR}")
endif()
mark_as_advanced(libzip_LIBRARY libzip_INCLUDE_DIR libzip_CONFIG_INCLUDE_DIR)
