/* folder.h - a temporary folder of one test, removed with all in it. */
#pragma once

/* Fills out_path (at least 64 bytes). Ends the test program when it cannot. */
void folder_create(char out_path[64]);
void folder_remove(const char *path);
