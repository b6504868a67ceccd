/** Exit statuses of every command. 78 is EX_CONFIG of sysexits.h. */
export const exitDone = 0;
export const exitFailed = 1;
export const exitUsage = 2;
export const exitSettings = 78;
