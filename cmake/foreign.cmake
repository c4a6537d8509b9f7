# The libraries we did not write. Each becomes one target foreign::NAME; scripts/setup installs them all.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

foreach(pair IN ITEMS grpc=grpc protobuf_c=libprotobuf-c uring=liburing utf8proc=libutf8proc xxhash=libxxhash
                      crypto=libcrypto cjson=libcjson yaml=yaml-0.1 curl=libcurl microhttpd=libmicrohttpd ssl=libssl
                      cmocka=cmocka)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(${name} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  add_library(foreign::${name} ALIAS PkgConfig::${name})
endforeach()

# grpc.pc of Debian lists its private parts for static linking too; the shared library needs only itself and gpr.
find_library(GRPC_LIBRARY grpc REQUIRED)
find_library(GPR_LIBRARY gpr REQUIRED)
add_library(foreign_grpc_core INTERFACE)
target_link_libraries(foreign_grpc_core INTERFACE ${GRPC_LIBRARY} ${GPR_LIBRARY} Threads::Threads)
add_library(foreign::grpc_core ALIAS foreign_grpc_core)

# The serial flavour of OpenBLAS: no thread pool behind a call. Its folder goes into the run path, because the
# plain name belongs to whichever flavour the machine's alternatives point to.
find_library(OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-serial REQUIRED
             PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial NO_DEFAULT_PATH)
get_filename_component(OPENBLAS_FOLDER ${OPENBLAS_LIBRARY} DIRECTORY)
find_path(CBLAS_INCLUDE cblas.h PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial REQUIRED
          NO_DEFAULT_PATH)
add_library(foreign_openblas INTERFACE)
target_link_libraries(foreign_openblas INTERFACE ${OPENBLAS_LIBRARY})
target_link_options(foreign_openblas INTERFACE -Wl,-rpath,${OPENBLAS_FOLDER})
target_include_directories(foreign_openblas SYSTEM INTERFACE ${CBLAS_INCLUDE})
add_library(foreign::openblas ALIAS foreign_openblas)

# FAISS is static and wants g++'s OpenMP, never clang's: their lock types differ in size.
find_library(FAISS_LIBRARY faiss REQUIRED)
add_library(foreign_faiss INTERFACE)
if(FAISS_C_PREBUILT)
  find_library(FAISS_C_LIBRARY faiss_c REQUIRED)
  target_link_libraries(foreign_faiss INTERFACE ${FAISS_C_LIBRARY})
endif()
target_link_libraries(foreign_faiss INTERFACE ${FAISS_LIBRARY} foreign::openblas gomp stdc++ m)
add_library(foreign::faiss ALIAS foreign_faiss)

find_program(PROTOC protoc REQUIRED)
find_program(PROTOC_C protoc-c REQUIRED)
find_program(PYTHON3 python3 REQUIRED PATHS /usr/bin NO_DEFAULT_PATH)
