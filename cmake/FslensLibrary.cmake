# The library that ships: every room's objects in one static archive, and its CMake package.

# fslens_library(): target fslens, alias fslens::fslens. Called when all rooms are known.
function(fslens_library)
  get_property(rooms GLOBAL PROPERTY FSLENS_ROOMS)
  get_property(linked GLOBAL PROPERTY FSLENS_ROOM_LIBRARIES)
  add_library(fslens STATIC)
  add_library(fslens::fslens ALIAS fslens)
  foreach(room IN LISTS rooms)
    target_sources(fslens PRIVATE $<TARGET_OBJECTS:fslens_${room}>)
  endforeach()
  set_target_properties(fslens PROPERTIES LINKER_LANGUAGE CXX)
  target_compile_features(fslens PUBLIC cxx_std_20)
  target_include_directories(fslens PUBLIC
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)

  # No public header includes a third-party one, so a user of the library needs the binaries behind it and no more:
  # header-only packages end here.
  set(packages)
  list(APPEND linked fmt::fmt)
  list(REMOVE_DUPLICATES linked)
  foreach(target IN LISTS linked)
    get_target_property(type ${target} TYPE)
    get_target_property(links ${target} INTERFACE_LINK_LIBRARIES)
    if(type STREQUAL "INTERFACE_LIBRARY" AND NOT links)
      continue()
    endif()
    target_link_libraries(fslens PRIVATE ${target})
    fslens_package_of(${target} package)
    list(APPEND packages ${package})
  endforeach()
  list(REMOVE_DUPLICATES packages)
  list(SORT packages)
  set_property(TARGET fslens PROPERTY FSLENS_PACKAGES "${packages}")
endfunction()

# fslens_install(): headers, archive and package files, all in the component fslens_development.
function(fslens_install)
  get_target_property(FSLENS_LINKED_PACKAGES fslens FSLENS_PACKAGES)
  set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/fslens)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/fslensConfig.cmake.in
    ${PROJECT_BINARY_DIR}/fslensConfig.cmake INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/fslensConfigVersion.cmake COMPATIBILITY SameMinorVersion)

  install(TARGETS fslens EXPORT fslensTargets COMPONENT fslens_development)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/fslens DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT fslens_development FILES_MATCHING PATTERN "*.hpp")
  install(EXPORT fslensTargets NAMESPACE fslens:: DESTINATION ${package_dir} COMPONENT fslens_development)
  install(FILES ${PROJECT_BINARY_DIR}/fslensConfig.cmake ${PROJECT_BINARY_DIR}/fslensConfigVersion.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FslensDependencies.cmake ${PROJECT_SOURCE_DIR}/cmake/Findlibzip.cmake
    DESTINATION ${package_dir} COMPONENT fslens_development)
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT fslens_development)
endfunction()
