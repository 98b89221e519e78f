# One OBJECT library a room, so that a room is compiled once and a test links only the rooms it names.

add_library(fslens_build_flags INTERFACE)
target_compile_options(fslens_build_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow
                       -Wno-restrict)  # g++ 12 sees overlap in every std::string concatenation (GCC bug 105651)
if(FSLENS_NATIVE)
  include(CheckCXXCompilerFlag)
  check_cxx_compiler_flag(-march=native FSLENS_HAS_MARCH_NATIVE)
  check_cxx_compiler_flag(-mno-avx512f FSLENS_HAS_NO_AVX512)
  if(FSLENS_HAS_MARCH_NATIVE)
    # Products and sums are rounded one by one, as they are written: a*b - c*d means the same on every machine.
    target_compile_options(fslens_build_flags INTERFACE -march=native -ffp-contract=off
                           $<$<BOOL:${FSLENS_HAS_NO_AVX512}>:-mno-avx512f>)  # g++ 12 warns inside its own AVX-512 headers
  endif()
endif()
if(FSLENS_WARNINGS_AS_ERRORS)
  target_compile_options(fslens_build_flags INTERFACE -Werror)
endif()

# fslens_room(NAME SOURCES… [LINK …]): LINK names third-party targets that only this room's sources use.
function(fslens_room name)
  cmake_parse_arguments(ROOM "" "" "SOURCES;LINK" ${ARGN})
  add_library(fslens_${name} OBJECT ${ROOM_SOURCES})
  target_include_directories(fslens_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
  target_link_libraries(fslens_${name} PRIVATE fslens_build_flags fmt::fmt ${ROOM_LINK})
  set_property(GLOBAL APPEND PROPERTY FSLENS_ROOMS ${name})
  set_property(GLOBAL APPEND PROPERTY FSLENS_ROOM_LIBRARIES ${ROOM_LINK})
  set_property(TARGET fslens_${name} PROPERTY FSLENS_LINK "${ROOM_LINK}")
endfunction()

# fslens_highway_source(FILE): Highway compiles FILE once for each instruction set by including it again, and chooses at run time.
macro(fslens_highway_source file)
  set_source_files_properties(${file} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  if(FSLENS_HAS_MARCH_NATIVE AND CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    set_source_files_properties(${file} PROPERTIES COMPILE_OPTIONS -march=x86-64)
  endif()
endmacro()

# Builds the tests labelled unit or property and nothing else: what the sanitizer presets run.
add_custom_target(unit_tests)

# fslens_test(NAME ROOMS … SOURCES … [LABELS …]): a GoogleTest binary linked with just these rooms' objects.
function(fslens_test name)
  cmake_parse_arguments(TEST "" "" "ROOMS;SOURCES;LABELS" ${ARGN})
  add_executable(${name} ${TEST_SOURCES})
  foreach(room IN LISTS TEST_ROOMS)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:fslens_${room}>)
    target_link_libraries(${name} PRIVATE $<TARGET_PROPERTY:fslens_${room},FSLENS_LINK>)
  endforeach()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE fslens_build_flags fmt::fmt GTest::gtest_main rapidcheck rapidcheck_gtest)
  target_compile_definitions(${name} PRIVATE FSLENS_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # a test is compiled more often than it runs
  if("unit" IN_LIST TEST_LABELS OR "property" IN_LIST TEST_LABELS)
    add_dependencies(unit_tests ${name})
  endif()
  gtest_discover_tests(${name} DISCOVERY_TIMEOUT 60)
  # gtest_discover_tests takes a list apart on its way to ctest and would keep the first label only.
  set(labels_file ${CMAKE_CURRENT_BINARY_DIR}/${name}_labels.cmake)
  file(WRITE ${labels_file}
    "foreach(test IN LISTS ${name}_TESTS)\n  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${TEST_LABELS}\")\nendforeach()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${labels_file})
endfunction()
