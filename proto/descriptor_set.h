/*
 * descriptor_set.h - the public proto files as a serialised google.protobuf.FileDescriptorSet, made
 * by the build. Constant; threads: any.
 */
#pragma once

extern const unsigned char descriptor_set[];
extern const unsigned long descriptor_set_size;
