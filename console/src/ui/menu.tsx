import { clsx } from "clsx";
import { Check, Ellipsis } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import type { ComponentProps, ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./button";

/** Not modal: a modal one hides from screen readers a page whose controls still take the focus. */
export function Menu(props: ComponentProps<typeof DropdownMenu.Root>) {
  return <DropdownMenu.Root modal={false} {...props} />;
}
export const MenuTrigger = DropdownMenu.Trigger;
export const MenuRadioGroup = DropdownMenu.RadioGroup;

const item =
  "flex min-h-8 items-center gap-2 rounded px-2 py-1 text-table outline-none select-none data-[disabled]:cursor-not-allowed data-[disabled]:text-ink-faint data-[highlighted]:bg-well";

export function MenuContent({ className, ...props }: ComponentProps<typeof DropdownMenu.Content>) {
  return (
    <DropdownMenu.Portal>
      <DropdownMenu.Content
        sideOffset={6}
        collisionPadding={8}
        className={clsx(
          "z-50 min-w-44 animate-rise-in rounded-lg border border-line bg-raised p-1 shadow-lift",
          className,
        )}
        {...props}
      />
    </DropdownMenu.Portal>
  );
}

interface ItemProps extends ComponentProps<typeof DropdownMenu.Item> {
  icon?: ReactNode;
  danger?: boolean;
}

export function MenuItem({ icon, danger, className, children, ...props }: ItemProps) {
  return (
    <DropdownMenu.Item
      className={clsx(item, danger && "text-bad-text data-[highlighted]:bg-bad-soft", className)}
      {...props}
    >
      {/* A link in its place has to be the only child. */}
      {props.asChild ? (
        children
      ) : (
        <>
          {icon}
          {children}
        </>
      )}
    </DropdownMenu.Item>
  );
}

export function MenuRadioItem({ icon, children, ...props }: ComponentProps<typeof DropdownMenu.RadioItem> & { icon?: ReactNode }) {
  return (
    <DropdownMenu.RadioItem className={item} {...props}>
      {icon}
      <span className="flex-1">{children}</span>
      <DropdownMenu.ItemIndicator>
        <Check className="size-4 text-accent-text" aria-hidden />
      </DropdownMenu.ItemIndicator>
    </DropdownMenu.RadioItem>
  );
}

export function MenuLabel({ children }: { children: ReactNode }) {
  return <DropdownMenu.Label className="px-2 pt-2 pb-1 text-caption text-ink-faint">{children}</DropdownMenu.Label>;
}

export function MenuSeparator() {
  return <DropdownMenu.Separator className="-mx-1 my-1 h-px bg-line" />;
}

/** What else can be done to one of many. */
export function MoreMenu({ of, children }: { of: string; children: ReactNode }) {
  const { t } = useTranslation();
  return (
    <Menu>
      <MenuTrigger asChild>
        <Button look="ghost" size="icon" aria-label={`${t("action.more")}: ${of}`}>
          <Ellipsis className="size-4" aria-hidden />
        </Button>
      </MenuTrigger>
      <MenuContent align="end">{children}</MenuContent>
    </Menu>
  );
}
