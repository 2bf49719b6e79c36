// The `ac` commands that do what these pages do.

export const LIST_COMMAND = "ac get clusters";
export const REGISTER_COMMAND = "ac register cluster NAME";

export function detailCommands(name: string) {
  return [
    { title: "detail.commandUse", command: `ac config use-cluster ${name}` },
    { title: "detail.commandNodes", command: `ac get nodes --cluster ${name}` },
    { title: "detail.commandPods", command: `ac get pods -A --cluster ${name}` },
    { title: "detail.commandObject", command: `ac get clusters.cluster.x-k8s.io ${name} -n cpaas-system -o yaml --cluster global` },
  ] as const;
}

export const detachCommand = (name: string, force: boolean) => `ac adm detach ${name}${force ? " --force" : ""}`;
