// A modal dialog, and the drawer that shows a row's detail beside its list.
import { clsx } from "clsx";
import { X } from "lucide-react";
import { Dialog as Radix } from "radix-ui";
import type { ComponentProps, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";

interface DialogProps {
  title: ReactNode;
  subtitle?: ReactNode;
  onClose: () => void;
  children: ReactNode;
  footer?: ReactNode;
  narrow?: boolean;
  onCloseAutoFocus?: (event: Event) => void;
}

/** Rendered while open; the caller mounts and unmounts it, so its state never outlives it. */
export function Dialog({ title, subtitle, onClose, children, footer, narrow, onCloseAutoFocus }: DialogProps) {
  return (
    <Radix.Root open onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fixed inset-0 z-40 animate-fade-in bg-scrim" />
        <Radix.Content
          {...(subtitle ? {} : { "aria-describedby": undefined })}
          {...(onCloseAutoFocus ? { onCloseAutoFocus } : {})}
          data-modal=""
          // Where one answer is the safe one, Enter gives it.
          onOpenAutoFocus={(event) => {
            const first = event.currentTarget instanceof HTMLElement && event.currentTarget.querySelector<HTMLElement>("[data-first-focus]");
            if (!first) return;
            event.preventDefault();
            first.focus();
          }}
          // A stray click must not throw away what was typed.
          onInteractOutside={(event) => event.preventDefault()}
          className={clsx(
            "fixed inset-x-0 bottom-0 z-50 mx-auto flex max-h-[calc(100dvh-16px)] w-full animate-rise-in flex-col rounded-t-xl border border-line bg-raised shadow-lift outline-none sm:top-[8vh] sm:bottom-auto sm:max-h-[84vh] sm:rounded-xl",
            narrow ? "sm:max-w-md" : "sm:max-w-xl",
          )}
        >
          <header className="flex items-start gap-4 px-5 pt-4 pb-3">
            <div className="min-w-0 flex-1">
              <Radix.Title className="text-heading break-words">{title}</Radix.Title>
              {subtitle && <Radix.Description className="mt-0.5 text-table text-ink-soft">{subtitle}</Radix.Description>}
            </div>
            <CloseButton />
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 pt-1 pb-5">{children}</div>
          {footer && (
            <footer className="flex flex-wrap items-center justify-end gap-2 border-t border-line px-5 py-3">{footer}</footer>
          )}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

function CloseButton() {
  const { t } = useTranslation();
  return (
    <Radix.Close asChild>
      <Button look="ghost" size="icon" className="-mr-2" aria-label={t("action.close")}>
        <X className="size-4" aria-hidden />
      </Button>
    </Radix.Close>
  );
}

interface DrawerProps extends Pick<ComponentProps<typeof Radix.Content>, "onCloseAutoFocus"> {
  header: ReactNode;
  onClose: () => void;
  children: ReactNode;
}

/** Not modal: the list beside it stays usable. */
export function Drawer({ header, onClose, children, onCloseAutoFocus }: DrawerProps) {
  return (
    <Radix.Root open modal={false} onOpenChange={(open) => !open && onClose()}>
      <Radix.Portal>
        <Radix.Content
          aria-describedby={undefined}
          {...(onCloseAutoFocus ? { onCloseAutoFocus } : {})}
          // The drawer itself, so that it is read out and Tab goes on inside it; its first button would be an odd start.
          onOpenAutoFocus={(event) => {
            event.preventDefault();
            if (event.currentTarget instanceof HTMLElement) event.currentTarget.focus({ preventScroll: true });
          }}
          onInteractOutside={(event) => event.preventDefault()}
          className="fixed top-12 right-0 bottom-0 z-30 flex w-full animate-slide-in flex-col border-l border-line bg-raised shadow-lift outline-none sm:w-[min(480px,92vw)] xl:w-[min(40vw,640px)]"
        >
          <header className="flex items-start gap-2 border-b border-line px-5 py-4">
            <div className="min-w-0 flex-1">{header}</div>
            <CloseButton />
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto">{children}</div>
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export const DrawerTitle = Radix.Title;
