//! Help texts in Chinese, found by their English: the command line is defined once, in English.

use clap::Command;

/// The definition with its help in Chinese.
pub fn translate(command: Command) -> Command {
    let mut command = about(command);
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, translate);
    }
    command
}

fn about(mut command: Command) -> Command {
    if let Some(zh) = command.get_about().and_then(|text| chinese(&text.to_string())) {
        command = command.about(zh);
    }
    if let Some(zh) = command.get_after_help().and_then(|text| chinese(&text.to_string())) {
        command = command.after_help(zh);
    }
    command.mut_args(|arg| match arg.get_help().and_then(|text| chinese(&text.to_string())) {
        Some(zh) => arg.help(zh),
        None => arg,
    })
}

fn chinese(english: &str) -> Option<&'static str> {
    HELP.iter().find(|(en, _)| *en == english).map(|(_, zh)| *zh)
}

const HELP: &[(&str, &str)] = &[
    (
        "kubectl for a whole fleet: sign in to a platform once, then work on any of its clusters",
        "面向整个集群舰队的 kubectl：登录平台一次，即可操作其中任意集群",
    ),
    (
        "Every other kubectl command works too: ac passes it to the kubectl found on PATH.",
        "其他 kubectl 命令同样可用：ac 会交给 PATH 中的 kubectl 执行。",
    ),
    ("Session to use instead of the current one", "使用指定会话，而不是当前会话"),
    ("Cluster to use instead of the current one", "使用指定集群，而不是当前集群"),
    ("Kubeconfig context to use instead of the current one", "使用指定上下文，而不是当前上下文"),
    ("Namespace to use", "使用的命名空间"),
    (
        "Kubeconfig file to use; for import cluster, the file to import",
        "使用的 kubeconfig 文件；用于 import cluster 时为要导入的文件",
    ),
    ("Configuration file to use", "使用的配置文件"),
    ("Leave out notes on standard error", "不在标准错误输出提示"),
    ("When to use colour", "何时使用颜色"),
    ("Show requests: 6 one line each, 8 with headers", "显示请求：6 为每个请求一行，8 还包括响应头"),
    (
        "How long to wait for an answer, such as 10s; 0 is the default of 60s",
        "等待应答的时间，例如 10s；0 表示默认的 60s",
    ),
    ("Sign in to a platform and set up its clusters", "登录平台并配置其集群"),
    ("End a session and remove what it set up", "结束会话并清除其配置"),
    ("Show who you are", "显示当前用户"),
    (
        "List or end sessions on the platform, your own or, as an administrator, those of others",
        "查看或结束平台上的会话；管理员也可操作他人的会话",
    ),
    ("List, create or revoke API tokens", "查看、创建或吊销 API 令牌"),
    ("Show, set up or remove your second factor", "查看、设置或移除您的第二验证因素"),
    ("Say whether signing in with your password asks for a code", "显示使用密码登录时是否需要验证码"),
    ("Set up codes of an authenticator app", "设置身份验证器应用的验证码"),
    (
        "Only print a new secret; it counts once a code of it has come by --code-stdin",
        "只输出新密钥；用 --code-stdin 提交其验证码后才生效",
    ),
    (
        "Read a code of the secret that --secret-only has printed from standard input",
        "从标准输入读取 --secret-only 所输出密钥的验证码",
    ),
    ("Sign in without a code again", "恢复为登录时不需要验证码"),
    ("Commands for administrators of the platform", "平台管理员命令"),
    ("Of this user", "该用户的"),
    ("Of all users", "所有用户的"),
    ("End sessions; whoever uses them has to sign in again", "结束会话；使用者需要重新登录"),
    ("Sessions to end", "要结束的会话"),
    ("All your sessions but this one", "除当前会话外您的所有会话"),
    ("All sessions of this user", "该用户的所有会话"),
    ("End several sessions without asking", "结束多个会话时不再询问"),
    ("Only say what would be done", "只显示将要执行的操作"),
    ("Create an API token and print it; it is not shown again", "创建 API 令牌并输出；之后不会再次显示"),
    ("Make API tokens worthless", "吊销 API 令牌"),
    ("What the token is for", "令牌的用途"),
    ("How long it works, such as 30d or 12h, or the time when it ends", "有效时长，例如 30d 或 12h，或到期时间"),
    ("For reading only", "只读"),
    ("For these clusters only", "只用于这些集群"),
    ("Tokens to revoke", "要吊销的令牌"),
    ("People of the platform", "平台用户"),
    (
        "Create a local user; without --password-stdin the password is made up and printed once",
        "创建本地用户；未使用 --password-stdin 时自动生成密码并只输出一次",
    ),
    ("Keep users from signing in and end their sessions", "禁止用户登录并结束其会话"),
    ("Let disabled users sign in again", "允许被禁用的用户重新登录"),
    ("Let users sign in again who were locked after too many failures", "解锁因多次登录失败而被锁定的用户"),
    ("Let users sign in without a code, as after the loss of a device", "移除用户的第二验证因素，例如设备丢失时"),
    (
        "Give a local user a new password and end their sessions; it is printed once and must be changed at sign-in",
        "为本地用户重置密码并结束其会话；新密码只输出一次，登录时必须修改",
    ),
    ("E-mail address", "邮箱地址"),
    ("User name; the e-mail address unless said otherwise", "用户名；默认为邮箱地址"),
    ("Make an administrator of the platform", "设为平台管理员"),
    ("Groups to be in", "所属用户组"),
    ("Names or e-mail addresses", "名称或邮箱地址"),
    ("Name or e-mail address", "名称或邮箱地址"),
    ("Platform that issued the token", "签发令牌的平台"),
    ("User of the platform", "平台用户"),
    ("Show or change the current namespace", "显示或切换当前命名空间"),
    ("Namespace to switch to", "要切换到的命名空间"),
    ("Sessions, clusters and contexts", "会话、集群和上下文"),
    ("Show versions", "显示版本"),
    ("Print a completion script", "输出补全脚本"),
    ("Shell to write for", "目标 shell"),
    ("List objects", "列出对象"),
    ("Create or change objects from files", "按文件创建或修改对象"),
    ("Delete objects", "删除对象"),
    ("Print a container's logs", "输出容器日志"),
    ("Run a command in a container", "在容器中执行命令"),
    ("List what kinds of objects the server has", "列出服务器支持的资源类型"),
    ("Bring an existing cluster into the platform", "将已有集群导入平台"),
    ("Let a cluster join the platform by itself", "让集群自行加入平台"),
    ("Extra commands found on PATH", "PATH 中的扩展命令"),
    ("Print the session's token for kubectl", "为 kubectl 输出会话令牌"),
    ("Platform address; AC_LOGIN_PLATFORM_URL", "平台地址；AC_LOGIN_PLATFORM_URL"),
    ("Session name; AC_LOGIN_SESSION", "会话名称；AC_LOGIN_SESSION"),
    ("User name; AC_LOGIN_USERNAME", "用户名；AC_LOGIN_USERNAME"),
    (
        "Password; others on this machine can see it, so prefer --password-stdin",
        "密码；本机其他用户可以看到，建议使用 --password-stdin",
    ),
    ("Read the password from standard input", "从标准输入读取密码"),
    ("Read a token from standard input instead of signing in", "从标准输入读取令牌，不再登录"),
    (
        "Read the code of the second factor from standard input; the password then comes from AC_LOGIN_PASSWORD",
        "从标准输入读取第二验证因素的验证码；此时密码取自 AC_LOGIN_PASSWORD",
    ),
    ("Sign in with a browser on another device, by a code", "在其他设备的浏览器中输入验证码登录"),
    (
        "Identity provider that knows you; those with a sign-in page of their own open in the browser",
        "您所属的身份提供方；带有登录页面的身份提供方将在浏览器中打开",
    ),
    ("PEM file with the platform's certificate authority", "平台证书颁发机构的 PEM 文件"),
    ("SHA-256 fingerprint of the platform's certificate authority", "平台证书颁发机构的 SHA-256 指纹"),
    (
        "Do not check the platform's certificate; anyone in between can then read your password",
        "不校验平台证书；中间人将可以读取密码",
    ),
    ("Write the token into the kubeconfig instead of a private cache", "将令牌写入 kubeconfig，而不是私有缓存"),
    ("End every session", "结束所有会话"),
    ("Print the current context only", "只输出当前上下文"),
    ("Print the server's address only", "只输出服务器地址"),
    ("Print the token only", "只输出令牌"),
    ("List sessions", "列出会话"),
    ("Switch to another session", "切换会话"),
    ("Session to switch to", "要切换到的会话"),
    ("Switch to another cluster of the session", "切换到会话中的其他集群"),
    ("Cluster to switch to", "要切换到的集群"),
    ("Bring the session's clusters up to date", "更新会话的集群列表"),
    ("Every session", "所有会话"),
    ("Show the client's version only", "只显示客户端版本"),
    ("Output format: json or yaml", "输出格式：json 或 yaml"),
    ("Read from these clusters", "从这些集群读取"),
    ("Read from every cluster of the session", "从会话的所有集群读取"),
    ("Succeed even if some clusters failed", "部分集群失败时仍视为成功"),
    (
        "TYPE [NAME...], TYPE/NAME..., or several types with commas",
        "TYPE [NAME...]、TYPE/NAME...，或以逗号分隔的多个类型",
    ),
    (
        "Output format: wide, json, yaml, name, tsv, jsonpath=..., custom-columns=...",
        "输出格式：wide、json、yaml、name、tsv、jsonpath=...、custom-columns=...",
    ),
    ("All namespaces", "所有命名空间"),
    ("Label selector", "标签选择器"),
    ("Field selector", "字段选择器"),
    ("Print, then watch for changes", "输出后继续监视变化"),
    ("Watch for changes without printing first", "只监视变化，不先输出"),
    ("Show the kind of each change", "显示每次变化的类型"),
    ("No line of column names", "不输出表头"),
    ("Show labels as the last column", "在最后一列显示标签"),
    ("Show the kind before each name", "在名称前显示类型"),
    ("A column for each of these labels", "为这些标签各增加一列"),
    ("Show managed fields in JSON and YAML", "在 JSON 和 YAML 中显示 managedFields"),
    ("Succeed when a named object does not exist", "指定的对象不存在时仍视为成功"),
    ("Sort by a field, such as .metadata.creationTimestamp", "按字段排序，例如 .metadata.creationTimestamp"),
    ("Ask for lists in pieces of this size", "分批获取列表时每批的数量"),
    ("File, folder, or - for standard input", "文件、目录，或用 - 表示标准输入"),
    ("Look into folders of folders", "递归处理子目录"),
    ("Let the server merge and track who owns which field", "由服务器合并并记录字段归属"),
    ("Take over fields that others own; with --server-side", "接管他人拥有的字段；与 --server-side 一起使用"),
    (
        "Who owns the fields; kubectl-client-side-apply, or kubectl with --server-side",
        "字段的拥有者；默认为 kubectl-client-side-apply，使用 --server-side 时为 kubectl",
    ),
    ("Stop before sending or before storing", "在发送前或存储前停止"),
    ("Output format: json, yaml or name", "输出格式：json、yaml 或 name"),
    ("TYPE NAME..., TYPE/NAME..., or a type with -l or --all", "TYPE NAME...、TYPE/NAME...，或类型加 -l 或 --all"),
    ("Every object of the type", "该类型的所有对象"),
    ("Succeed when an object does not exist", "对象不存在时仍视为成功"),
    ("Seconds a pod gets to end; below 0 leaves it to the object", "Pod 结束的宽限秒数；小于 0 时由对象决定"),
    ("Signal at once that it should end", "立即通知结束"),
    ("Delete without waiting for a confirmation from the node", "不等待节点确认就删除"),
    (
        "What happens to dependants: background, orphan or foreground",
        "如何处理从属对象：background、orphan 或 foreground",
    ),
    ("Wait until it is gone", "等待直到删除完成"),
    ("How long to wait until it is gone; 0 is a week", "等待删除完成的时间；0 表示一周"),
    ("Output format: name", "输出格式：name"),
    ("Remove a cluster without asking", "移除集群时不再询问"),
    ("POD or TYPE/NAME", "POD 或 TYPE/NAME"),
    ("Container", "容器"),
    ("Follow as new lines come", "持续输出新日志"),
    ("Of the container before this one", "上一个容器的日志"),
    ("Times before each line", "在每行前显示时间"),
    (
        "Only this many of the latest lines; below 0 all, as without a selector; with one 10",
        "只输出最新的若干行；小于 0 表示全部，未用选择器时的默认值；使用选择器时默认为 10",
    ),
    ("All containers of a pod", "Pod 中的所有容器"),
    ("Of all pods with these labels", "带有这些标签的所有 Pod"),
    ("The pod and the container before each line", "在每行前显示 Pod 和容器"),
    ("How many logs may be followed at once", "最多可同时跟踪的日志数量"),
    ("Only what is newer, such as 5m", "只输出比此时长更新的日志，例如 5m"),
    ("Only what is newer than this time", "只输出此时间之后的日志"),
    ("Only this many bytes", "只输出若干字节"),
    ("Pass standard input on", "传递标准输入"),
    ("Standard input is a terminal", "标准输入为终端"),
    ("Command and its arguments", "命令及其参数"),
    ("Output format: wide or name", "输出格式：wide 或 name"),
    ("Only this group", "只列出该 API 组"),
    ("Only those in namespaces, or only the others", "只列出属于命名空间的资源，或只列出其他资源"),
    ("Only those that support these verbs", "只列出支持这些动词的资源"),
    ("Only those in these categories", "只列出属于这些类别的资源"),
    ("Do not ask the server again", "不再询问服务器"),
    (
        "Import a cluster by its kubeconfig, or by address, certificate authority and token",
        "通过 kubeconfig，或通过地址、证书颁发机构和令牌导入集群",
    ),
    ("Name of the cluster on the platform", "集群在平台上的名称"),
    ("Address of the cluster's API server", "集群 API 服务器的地址"),
    ("PEM file with the cluster's certificate authority", "集群证书颁发机构的 PEM 文件"),
    ("Read the token from standard input", "从标准输入读取令牌"),
    ("Name to show to people", "显示名称"),
    ("Check the connection only", "只检查连接"),
    ("Get the command that lets a cluster join", "获取让集群加入的命令"),
    ("Output format: yaml prints the manifest instead of the command", "输出格式：yaml 输出清单而不是命令"),
    ("Wait until the cluster has joined", "等待直到集群加入"),
    (
        "Get the command again for a registered cluster; the one before is worth nothing from then on",
        "重新获取已注册集群的命令；之前的命令随即失效",
    ),
    (
        "Where the platform is for the cluster's network, when that is another address than its own: https://HOST:PORT",
        "集群所在网络访问平台的地址（与平台自身地址不同时）：https://HOST:PORT",
    ),
    (
        "Show by which certificate authority the platform is known, or have another one take its place, step by step",
        "显示平台所用的证书颁发机构，或分步更换为另一个",
    ),
    ("Step to take; without it, how far it is is shown", "要执行的步骤；不指定则显示进度"),
    (
        "Cut off agents that lack the authority; they come back when they are registered again",
        "断开尚未取得该颁发机构的代理；重新注册后即可恢复",
    ),
    ("Cut them off without asking", "断开时不再询问"),
    (
        "Show how far the upgrade of the clusters' agents is, or begin and steer one, stage by stage",
        "显示集群代理的升级进度，或分批启动和控制升级",
    ),
    (
        "Image to give to agents; without it, how far the last upgrade is is shown",
        "代理要使用的镜像；不指定则显示最近一次升级的进度",
    ),
    ("Only the clusters with these labels", "仅限带有这些标签的集群"),
    (
        "How many clusters a stage has: a number, or a share as 10%; once for each stage, and the rest is one more",
        "每一批的集群数：数量，或 10% 这样的比例；每批指定一次，其余集群为最后一批",
    ),
    ("How many clusters at once, at most", "同时升级的集群数上限"),
    ("How many clusters may fail before it stops; none unless this says so", "停止前允许失败的集群数；默认不允许失败"),
    (
        "Only say which clusters would be upgraded in which stage, and which would be left out",
        "仅显示各批次将升级的集群以及将跳过的集群",
    ),
    ("Begin without asking", "开始前不再询问"),
    ("Begin no more clusters until --resume", "在 --resume 之前不再开始新的集群"),
    ("Go on; clusters that have failed are tried again", "继续；重试失败的集群"),
    ("Begin no more clusters; those that were begun come to their end", "不再开始新的集群；已开始的会执行完毕"),
    ("Stay until it has come to its end, and say what happens", "等待其结束，并显示过程"),
    (
        "Decide about requests for certificates, as of agents that have another key",
        "审批证书请求，例如密钥已更换的代理的请求",
    ),
    ("Approve requests for certificates", "批准证书请求"),
    ("Deny requests for certificates", "拒绝证书请求"),
    ("Names of the requests", "请求的名称"),
    ("How long to wait", "等待的时间"),
    ("Say who may do what, and why", "说明谁可以做什么，以及原因"),
    ("can-i, whoami and reconcile are kubectl's.", "can-i、whoami 和 reconcile 由 kubectl 提供。"),
    ("Find objects in all clusters", "在所有集群中查找对象"),
    ("Create a project in the clusters of --cluster A,B", "在 --cluster A,B 指定的集群中创建项目"),
    ("Create a namespace of a project in the cluster of --cluster", "在 --cluster 指定的集群中创建项目的命名空间"),
    (
        "Show the fleet in few numbers: which clusters are ready, what is wrong with the others, and how much they have",
        "汇总显示所有集群：哪些就绪、其余有何问题，以及资源总量",
    ),
    ("Count the clusters by the values of a label too", "同时按某个标签的值分组统计"),
    (
        "Show which versions of Kubernetes which release of the platform works with",
        "显示平台各版本支持的 Kubernetes 版本",
    ),
    (
        "Let clusters leave the platform; each name has to be typed, and their workloads are not touched",
        "将集群移出平台；需要逐个输入集群名称，其工作负载不受影响",
    ),
    ("Names of clusters", "集群名称"),
    (
        "Forget a cluster that does not answer: nothing is asked of it, and what the platform has put there stays",
        "遗忘无响应的集群：不向其发送任何请求，平台在其中部署的内容会保留",
    ),
    ("How long to wait until it is gone; 0 is ten minutes", "等待删除完成的时间；0 表示十分钟"),
    ("Delete a project; its name has to be typed", "删除项目；需要输入项目名称"),
    ("Let a project use the clusters of --cluster A,B too", "让项目同时使用 --cluster A,B 指定的集群"),
    ("Take the clusters of --cluster A,B from a project", "从项目中移除 --cluster A,B 指定的集群"),
    (
        "Change what a project's namespaces may be given in the clusters of --cluster A,B",
        "修改项目在 --cluster A,B 指定的集群中的配额",
    ),
    ("Give and take roles, and see who has what", "授予和收回角色，并查看谁拥有哪些权限"),
    ("Name of the project", "项目名称"),
    (
        "Most that its namespaces may be given, such as east:limits.cpu=10,pods=50; without a cluster, in each",
        "项目命名空间的配额上限，例如 east:limits.cpu=10,pods=50；未写集群时用于每个集群",
    ),
    ("What it is for", "用途说明"),
    ("Name of the namespace", "命名空间名称"),
    ("Project that it belongs to", "所属项目"),
    ("Most that it may use, such as limits.cpu=2,pods=10", "命名空间的配额，例如 limits.cpu=2,pods=10"),
    (
        "Limits of a container that says none, such as cpu=500m,memory=512Mi",
        "未设置限制的容器的默认限制，例如 cpu=500m,memory=512Mi",
    ),
    (
        "Requests of a container that says none, such as cpu=100m,memory=128Mi",
        "未设置请求的容器的默认请求，例如 cpu=100m,memory=128Mi",
    ),
    ("Most that a container's limits may be, such as cpu=4,memory=8Gi", "容器限制的最大值，例如 cpu=4,memory=8Gi"),
    (
        "What its Pods may do to their node, by the Pod Security Standards; who may say so, the cluster decides",
        "Pod 安全标准的级别，约束 Pod 对节点的访问；谁可以设置由集群决定",
    ),
    (
        "Delete its namespaces with all that is in them, or with =false keep them; unless said, as the project has it",
        "同时删除其命名空间及其中的全部内容，=false 表示保留；默认以项目的设置为准",
    ),
    ("Delete it without asking for its name", "删除时不再要求输入名称"),
    ("Do it without asking", "执行时不再询问"),
    ("New bounds; KEY- removes one", "新的上限；KEY- 表示取消该项上限"),
    (
        "Give users a role in a project, or with --cluster in clusters of it",
        "授予用户项目角色；使用 --cluster 时仅限所指定的集群",
    ),
    (
        "Give groups a role in a project, or with --cluster in clusters of it",
        "授予用户组项目角色；使用 --cluster 时仅限所指定的集群",
    ),
    ("Take a role in a project from users", "收回用户的项目角色"),
    ("Take a role in a project from groups", "收回用户组的项目角色"),
    (
        "Give users a role in the namespace of -n, of a project, in the cluster of --cluster",
        "授予用户 --cluster 集群中 -n 命名空间的角色",
    ),
    (
        "Give groups a role in the namespace of -n, of a project, in the cluster of --cluster",
        "授予用户组 --cluster 集群中 -n 命名空间的角色",
    ),
    (
        "Take a role in the namespace of -n, of a project, in the cluster of --cluster, from users",
        "收回用户在 --cluster 集群中 -n 命名空间的角色",
    ),
    (
        "Take a role in the namespace of -n, of a project, in the cluster of --cluster, from groups",
        "收回用户组在 --cluster 集群中 -n 命名空间的角色",
    ),
    (
        "Give users a role on the platform, or with --cluster a role in clusters",
        "授予用户平台角色；使用 --cluster 时为集群角色",
    ),
    (
        "Give groups a role on the platform, or with --cluster a role in clusters",
        "授予用户组平台角色；使用 --cluster 时为集群角色",
    ),
    (
        "Take a role on the platform, or with --cluster one in clusters, from users",
        "收回用户的平台角色；使用 --cluster 时为集群角色",
    ),
    (
        "Take a role on the platform, or with --cluster one in clusters, from groups",
        "收回用户组的平台角色；使用 --cluster 时为集群角色",
    ),
    (
        "Bind a ClusterRole of the current cluster to users, in the whole cluster",
        "在当前集群的全部范围内为用户绑定 ClusterRole",
    ),
    (
        "Bind a ClusterRole of the current cluster to groups, in the whole cluster",
        "在当前集群的全部范围内为用户组绑定 ClusterRole",
    ),
    ("Unbind a ClusterRole of the current cluster from users", "在当前集群中解除用户的 ClusterRole 绑定"),
    ("Unbind a ClusterRole of the current cluster from groups", "在当前集群中解除用户组的 ClusterRole 绑定"),
    ("Bind a role of the current cluster to users, in one namespace", "在当前集群的一个命名空间中为用户绑定角色"),
    ("Bind a role of the current cluster to groups, in one namespace", "在当前集群的一个命名空间中为用户组绑定角色"),
    (
        "Unbind a role in one namespace of the current cluster from users",
        "在当前集群的一个命名空间中解除用户的角色绑定",
    ),
    (
        "Unbind a role in one namespace of the current cluster from groups",
        "在当前集群的一个命名空间中解除用户组的角色绑定",
    ),
    ("List who can do something", "列出谁可以执行某操作"),
    ("Role, such as project-admin-system", "角色，例如 project-admin-system"),
    ("Role, such as platform-auditor-system", "角色，例如 platform-auditor-system"),
    ("Users by e-mail address, or groups by name", "用户的邮箱地址，或用户组的名称"),
    ("Project that it is about", "所涉及的项目"),
    ("ClusterRole of the cluster", "集群中的 ClusterRole"),
    ("Users or groups, as the cluster knows them", "集群所识别的用户或用户组"),
    (
        "ClusterRole of the cluster, or with --role-namespace a Role",
        "集群中的 ClusterRole；使用 --role-namespace 时为 Role",
    ),
    ("Namespace of the Role, which is the one to bind it in", "Role 所在的命名空间，也是进行绑定的命名空间"),
    ("Verb, such as get, list, create or delete", "动词，例如 get、list、create 或 delete"),
    (
        "RESOURCE[.GROUP], RESOURCE[.GROUP]/NAME, or a path such as /healthz",
        "RESOURCE[.GROUP]、RESOURCE[.GROUP]/NAME，或路径，例如 /healthz",
    ),
    ("Name of the object", "对象名称"),
    ("Part of the object, such as log or exec", "对象的子资源，例如 log 或 exec"),
    (
        "Say why somebody may do something, or what is missing and who can grant it",
        "说明某人为何可以执行某操作，或者缺少什么、谁可以授予",
    ),
    ("User to ask about instead of yourself", "要查询的用户，默认为您自己"),
    (
        "Group to ask about; with --as, in place of the groups that the user is in",
        "要查询的用户组；与 --as 同用时，代替该用户实际所属的用户组",
    ),
    (
        "Words, each of which is in the name, the namespace, a label or an image",
        "关键词；每个词都应出现在名称、命名空间、标签或镜像中",
    ),
    (
        "Only these kinds, such as Deployment or deployments.apps,jobs",
        "只查找这些类型，例如 Deployment 或 deployments.apps,jobs",
    ),
    ("Only in namespaces of this project", "只查找该项目的命名空间"),
    ("Only what runs an image with this in its name", "只查找使用了名称中含有该内容的镜像的对象"),
    (
        "Order: name, namespace, cluster, kind or age; a dash before it turns it round",
        "排序：name、namespace、cluster、kind 或 age；前面加连字符表示倒序",
    ),
    ("How many at most", "最多返回的数量"),
    ("All of them", "全部返回"),
    ("Let nodes of the cluster have no new Pods", "停止向集群的节点调度新的 Pod"),
    ("Let nodes of the cluster have new Pods again", "恢复向集群的节点调度 Pod"),
    (
        "Have the Pods of nodes leave, as their disruption budgets let them, and let the nodes have no new ones",
        "停止调度并在干扰预算允许的范围内驱逐节点上的 Pod",
    ),
    ("Keep Pods off nodes of the cluster that do not tolerate a taint, or let them back", "为集群的节点添加或移除污点"),
    ("Names of nodes", "节点名称"),
    ("Nodes with these labels", "带有这些标签的节点"),
    ("Go on although some Pods have no controller that makes them anew", "即使有 Pod 没有控制器重建也继续"),
    ("Seconds a Pod gets to end; below 0 leaves it to the Pod", "Pod 结束的宽限秒数；小于 0 时由 Pod 自身决定"),
    ("Leave Pods of DaemonSets where they are", "保留 DaemonSet 的 Pod"),
    ("Go on although what is in emptyDir volumes goes with the Pods", "即使 emptyDir 卷中的数据会随 Pod 丢失也继续"),
    ("How long to wait before giving up; 0 is for ever", "放弃前等待的时间；0 表示一直等待"),
    ("Only Pods with these labels", "仅处理带有这些标签的 Pod"),
    ("Delete Pods whatever their disruption budgets say", "不考虑干扰预算，直接删除 Pod"),
    (
        "Do not wait for Pods that have been ending for more seconds than this; 0 waits for all",
        "不等待已结束超过该秒数的 Pod；0 表示全部等待",
    ),
    (
        "nodes NODE... KEY[=VALUE]:EFFECT..., with a dash at the end to take a taint away",
        "nodes NODE... KEY[=VALUE]:EFFECT...；末尾加连字符表示移除污点",
    ),
    ("Every node", "所有节点"),
    ("Replace taints of the same key and effect", "替换键和效果相同的污点"),
    ("List plugins", "列出插件"),
    ("Names without folders", "只显示名称，不含目录"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn texts(command: &Command, found: &mut Vec<String>) {
        found.extend(command.get_about().map(ToString::to_string));
        found.extend(command.get_after_help().map(ToString::to_string));
        found.extend(command.get_arguments().filter_map(|arg| arg.get_help().map(ToString::to_string)));
        command.get_subcommands().for_each(|sub| texts(sub, found));
    }

    #[test]
    fn every_help_text_has_its_chinese() {
        let mut english = Vec::new();
        texts(&crate::args::Cli::command(), &mut english);
        let missing: Vec<_> = english.iter().filter(|text| chinese(text).is_none()).collect();
        assert!(missing.is_empty(), "{missing:#?}");
        let unused: Vec<_> = HELP.iter().filter(|(en, _)| !english.iter().any(|text| text == en)).collect();
        assert!(unused.is_empty(), "{unused:#?}");
    }

    #[test]
    fn the_translated_definition_still_works() {
        let command = translate(crate::args::Cli::command());
        command.clone().debug_assert();
        assert_eq!(
            command.get_about().map(ToString::to_string).as_deref(),
            chinese("kubectl for a whole fleet: sign in to a platform once, then work on any of its clusters")
        );
    }
}
