# The packages that fslens builds on. The project and its installed fslensConfig.cmake both include this file, so that a
# package is looked for in one way only: its own CMake files first, then pkg-config where a distribution ships none.

# What is known of a package: its target, its pkg-config module, its name in Debian and Ubuntu.
set(FSLENS_PACKAGE_CLI11 CLI11::CLI11 CLI11 libcli11-dev)
set(FSLENS_PACKAGE_Eigen3 Eigen3::Eigen eigen3 libeigen3-dev)
set(FSLENS_PACKAGE_OpenSSL OpenSSL::Crypto libcrypto libssl-dev)
set(FSLENS_PACKAGE_TBB TBB::tbb tbb libtbb-dev)
set(FSLENS_PACKAGE_ZLIB ZLIB::ZLIB zlib zlib1g-dev)
set(FSLENS_PACKAGE_fmt fmt::fmt fmt libfmt-dev)
set(FSLENS_PACKAGE_hwy hwy::hwy libhwy libhwy-dev)
set(FSLENS_PACKAGE_libzip libzip::zip libzip libzip-dev)
set(FSLENS_PACKAGE_nlohmann_json nlohmann_json::nlohmann_json nlohmann_json nlohmann-json3-dev)
set(FSLENS_PACKAGE_pugixml pugixml::pugixml pugixml libpugixml-dev)
set(FSLENS_PACKAGE_tomlplusplus tomlplusplus::tomlplusplus tomlplusplus libtomlplusplus-dev)

# fslens_find_package(NAME): makes the package's target, or appends a line about it to the caller's fslens_missing.
# A macro, since what find_package sets belongs to the caller.
macro(fslens_find_package package)
  list(GET FSLENS_PACKAGE_${package} 0 _fslens_target)
  list(GET FSLENS_PACKAGE_${package} 1 _fslens_module)
  list(GET FSLENS_PACKAGE_${package} 2 _fslens_debian)
  if(NOT TARGET ${_fslens_target})
    find_package(${package} QUIET)
  endif()
  if(NOT TARGET ${_fslens_target})
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
      pkg_check_modules(fslens_pc_${package} QUIET IMPORTED_TARGET ${_fslens_module})
    endif()
    if(TARGET PkgConfig::fslens_pc_${package})
      add_library(${_fslens_target} INTERFACE IMPORTED)
      target_link_libraries(${_fslens_target} INTERFACE PkgConfig::fslens_pc_${package})
    else()
      string(APPEND fslens_missing "\n  ${package} (Debian and Ubuntu: ${_fslens_debian})")
    endif()
  endif()
endmacro()

# fslens_package_of(TARGET OUT): the package that makes TARGET, so that an installed fslens can ask for it again.
function(fslens_package_of target out)
  string(REGEX REPLACE "::.*" "" package "${target}")
  if(NOT DEFINED FSLENS_PACKAGE_${package})
    message(FATAL_ERROR "A room links ${target}: give its package a line in cmake/FslensDependencies.cmake")
  endif()
  set(${out} ${package} PARENT_SCOPE)
endfunction()
