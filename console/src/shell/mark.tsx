import { useTranslation } from "react-i18next";

export function Mark() {
  const { t } = useTranslation();
  return (
    <span className="flex items-center gap-2">
      <svg viewBox="0 0 24 24" className="size-6" fill="none" aria-hidden>
        <rect width="24" height="24" rx="6" className="fill-accent" />
        <g className="stroke-on-accent" strokeWidth="1.6" strokeLinecap="round">
          <path d="M12 12 6.6 7.4M12 12l6-3.2M12 12l1 6.2" />
        </g>
        <g className="fill-on-accent">
          <circle cx="12" cy="12" r="3" />
          <circle cx="6.2" cy="7" r="1.7" />
          <circle cx="18.2" cy="8.6" r="1.7" />
          <circle cx="13.1" cy="18.4" r="1.7" />
        </g>
      </svg>
      <span className="text-[15px] font-semibold tracking-[-0.01em]">{t("product.name")}</span>
    </span>
  );
}
