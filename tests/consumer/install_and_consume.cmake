# cmake -D BUILD_DIR=… -D PROJECT_DIR=… -D SCRATCH_DIR=… -D GENERATOR=… -D VERSION=… -D CXX=… -D CXX_FLAGS=… -D BUILD_TYPE=… -P this
file(REMOVE_RECURSE ${SCRATCH_DIR})
set(staging ${SCRATCH_DIR}/staging)
set(prefix ${SCRATCH_DIR}/prefix)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ECHO STDOUT COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Moved after the install: an installed package must not depend on where it was installed to.
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${staging} --component fslens_development)
file(RENAME ${staging} ${prefix})

run(${CMAKE_COMMAND} -S ${PROJECT_DIR} -B ${SCRATCH_DIR}/build -G ${GENERATOR}
  -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D CMAKE_CXX_COMPILER=${CXX} -D CMAKE_CXX_FLAGS=${CXX_FLAGS}
  -D CMAKE_PREFIX_PATH=${prefix} -D FSLENS_EXPECTED_VERSION=${VERSION})
run(${CMAKE_COMMAND} --build ${SCRATCH_DIR}/build)
run(${SCRATCH_DIR}/build/three_atoms)
