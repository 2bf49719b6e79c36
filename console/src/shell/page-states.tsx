import { Compass, TriangleAlert } from "lucide-react";
import { useTranslation } from "react-i18next";
import { Button } from "../ui/button";
import { Empty } from "../ui/message";

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Empty
      icon={Compass}
      title={t("error.notFound")}
      actions={
        <Button asChild>
          <a href="/clusters">{t("nav.clusters")}</a>
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
