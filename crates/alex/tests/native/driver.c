/* Runs one kernel of an object file: reads its number of arguments, then each one's length and bytes, all little-endian, from
   standard input; writes the bytes back as the kernel left them. The table of kernels is in the generated kernels.c. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int kernel(void *arena, void *const *bindings);
extern kernel *const kernels[];

int main(int argc, char **argv) {
  void *memory[64];
  uint64_t count, size[64];
  if (argc != 2 || fread(&count, 8, 1, stdin) != 1 || count > 64) return 2;
  for (uint64_t i = 0; i < count; i++) {
    if (fread(&size[i], 8, 1, stdin) != 1) return 2;
    memory[i] = aligned_alloc(64, (size[i] / 64 + 2) * 64);
    if (!memory[i] || fread(memory[i], 1, size[i], stdin) != size[i]) return 2;
    /* What lies behind the end must not change. */
    memset((char *)memory[i] + size[i], 0xa5, 64);
  }
  if (kernels[atoi(argv[1])](NULL, memory) != 0) return 3;
  for (uint64_t i = 0; i < count; i++) {
    fwrite(memory[i], 1, size[i], stdout);
    for (int k = 0; k < 64; k++)
      if (((unsigned char *)memory[i])[size[i] + k] != 0xa5) return 4;
  }
  return 0;
}
