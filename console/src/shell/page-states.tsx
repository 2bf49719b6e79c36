import { Link } from "@tanstack/react-router";
import { Compass, TriangleAlert } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { Empty } from "../ui/message";

export function NotFound() {
  const { t } = useTranslation();
  useEffect(() => {
    document.title = `${t("error.notFound")} · ${t("product.name")}`;
  }, [t]);
  return (
    <Empty
      icon={Compass}
      title={t("error.notFound")}
      actions={
        <Button asChild>
          <Link to="/clusters">{t("nav.clusters")}</Link>
        </Button>
      }
    >
      {t("error.notFoundDetail")}
    </Empty>
  );
}

export function PageFailed() {
  const { t } = useTranslation();
  return (
    <Empty
      icon={TriangleAlert}
      title={t("error.page")}
      actions={<Button onClick={() => location.reload()}>{t("error.reload")}</Button>}
    >
      {t("error.pageDetail")}
    </Empty>
  );
}
