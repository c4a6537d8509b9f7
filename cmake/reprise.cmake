# How our own code is built.
add_library(reprise_flags INTERFACE)
target_include_directories(reprise_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(reprise_flags INTERFACE _GNU_SOURCE $<$<BOOL:${REPRISE_SLOW_CHECKS}>:REPRISE_SLOW_CHECKS>)
target_compile_options(reprise_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wpedantic -Wshadow -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes>
  $<$<AND:$<COMPILE_LANGUAGE:C>,$<C_COMPILER_ID:Clang>>:-Wthread-safety>
  $<$<AND:$<COMPILE_LANGUAGE:C>,$<BOOL:${REPRISE_WERROR}>>:-Werror>)
target_link_libraries(reprise_flags INTERFACE Threads::Threads)

# reprise_library(NAME [FOLDER sub] [LINKS ...] [EXCLUDE ...]): all .c files of the folder. A new file needs no edit here.
function(reprise_library name)
  cmake_parse_arguments(ARG "" "FOLDER" "LINKS;EXCLUDE" ${ARGN})
  set(folder ${CMAKE_CURRENT_SOURCE_DIR}/${ARG_FOLDER})
  file(GLOB sources CONFIGURE_DEPENDS ${folder}/*.c)
  foreach(left_out IN LISTS ARG_EXCLUDE)
    list(FILTER sources EXCLUDE REGEX "/${left_out}$")
  endforeach()
  if(NOT sources)
    add_library(${name} INTERFACE)
    return()
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC reprise_flags ${ARG_LINKS})
endfunction()

# Programs are linked by the C compiler even where FAISS brings C++: so the sanitizer's own runtime is used.
function(reprise_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
  target_link_libraries(${name} PRIVATE reprise_flags ${ARG_LINKS})
endfunction()

# reprise_unit_tests(FOLDER LINKS ...): each tests/unit/FOLDER/test_*.c is one program that links that folder and the
# floors below it, nothing else.
function(reprise_unit_tests folder)
  cmake_parse_arguments(ARG "" "" "LINKS" ${ARGN})
  string(REPLACE "/" "_" prefix ${folder})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/tests/unit/${folder}/test_*.c)
  foreach(source IN LISTS sources)
    get_filename_component(room ${source} NAME_WE)
    string(REPLACE "test_" "" room ${room})
    set(name unit_${prefix}_${room})
    reprise_program(${name} SOURCES ${source} LINKS ${ARG_LINKS} test_support foreign::cmocka)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
    add_test(NAME unit.${prefix}.${room} COMMAND ${name})
    set_tests_properties(unit.${prefix}.${room} PROPERTIES LABELS unit TIMEOUT 300)
  endforeach()
endfunction()
