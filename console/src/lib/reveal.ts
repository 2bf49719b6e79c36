/** As a ref of what appears at the end of something longer than the window. */
export const reveal = (result: HTMLElement | null): void => result?.scrollIntoView({ block: "nearest" });
