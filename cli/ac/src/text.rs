//! Every sentence that people read, in English and Chinese, in one place.
//!
//! Data, API reasons and messages published in English are not here: scripts and manuals quote them. A sentence
//! cannot be added in one language only; help texts are held to that by a test.

mod help;

use crate::env::Environment;

pub use help::translate;

/// A language people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    /// English.
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// By `AC_LANG`, else the locale.
    pub fn from_env(env: &Environment) -> Self {
        let locale = ["AC_LANG", "LC_ALL", "LC_MESSAGES", "LANG"].iter().find_map(|name| env.var(name));
        match locale {
            Some(locale) if locale.to_lowercase().starts_with("zh") => Self::Zh,
            _ => Self::En,
        }
    }
}

macro_rules! catalogue {
    ($($name:ident { $($field:ident),* } $en:literal $zh:literal;)*) => {
        /// A sentence with its blanks filled in.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is documented by its English sentence below")]
        pub enum Text { $($name { $($field: String),* },)* }

        impl Text {
            /// The sentence in a language.
            pub fn render(&self, lang: Lang) -> String {
                match (self, lang) {
                    $((Text::$name { $($field),* }, Lang::En) => format!($en),
                      (Text::$name { $($field),* }, Lang::Zh) => format!($zh),)*
                }
            }

            #[cfg(test)]
            fn samples() -> Vec<(&'static str, Vec<String>, Text)> {
                vec![$((stringify!($name), vec![$(format!("<{}>", stringify!($field))),*],
                    Text::$name { $($field: format!("<{}>", stringify!($field))),* }),)*]
            }
        }
    };
}

impl Text {
    /// The sentence in English.
    pub fn english(&self) -> String {
        self.render(Lang::En)
    }
}

catalogue! {
    PromptPlatformUrl {} "Platform URL:" "Platform URL:";
    PromptSession {} "Session name:" "Session name:";
    PromptUsername {} "Username:" "Username:";
    PromptPassword {} "Password:" "Password:";
    PromptCode {} "Code of the second factor:" "第二验证因素的验证码：";
    PromptEndSessions { count } "End {count} other sessions of yours? [y/N]" "结束您的其他 {count} 个会话？[y/N]";
    PromptEndSessionsOf { count, username } "End all {count} sessions of \"{username}\"? [y/N]" "结束 \"{username}\" 的全部 {count} 个会话？[y/N]";
    PromptNewPassword {} "New password:" "新密码：";
    PromptRepeatPassword {} "New password again:" "再次输入新密码：";
    PromptTrust {} "Trust this certificate authority? [y/N]" "是否信任该证书颁发机构？[y/N]";
    PromptRemove { name }
        "Cluster \"{name}\" leaves the platform; its workloads are not touched. Type its name to confirm:"
        "集群 \"{name}\" 将从平台移除，其工作负载不受影响。请输入集群名称以确认：";
    PromptForget { name }
        "Cluster \"{name}\" is forgotten without being asked: what the platform has put there stays, and its agent is not let in again. Type its name to confirm:"
        "将不询问集群 \"{name}\" 而直接遗忘它：平台在其中部署的内容会保留，其代理不再被接受。请输入集群名称以确认：";

    BadTaint { word } "\"{word}\" is not a taint such as KEY=VALUE:EFFECT, or KEY:EFFECT- to take it away; the effects are NoSchedule, PreferNoSchedule and NoExecute"
        "\"{word}\" 不是有效的污点，格式为 KEY=VALUE:EFFECT，移除时为 KEY:EFFECT-；效果可为 NoSchedule、PreferNoSchedule 或 NoExecute";
    DrainCutOff { node } "the platform stopped telling of node \"{node}\": it stays cordoned, and what has not left is still there; run the command again to go on"
        "平台中断了对节点 \"{node}\" 的驱逐：节点仍停止调度，未离开的 Pod 仍在；请再次执行该命令以继续";
    DrainNeedsSession {} "a node is drained by the platform, and this context is of none: sign in with ac login, or use kubectl drain"
        "节点由平台驱逐，而当前上下文不属于任何平台：请用 ac login 登录，或使用 kubectl drain";
    NoSuchTaint { node, taint } "node \"{node}\": taint \"{taint}\" not found" "节点 \"{node}\" 没有污点 \"{taint}\"";
    StillDraining { node, evicted, total } "node \"{node}\": {evicted} of {total} Pods have left" "节点 \"{node}\"：{total} 个 Pod 中已有 {evicted} 个离开";
    TaintExists { node, taint } "node {node} already has {taint} taint(s) with same effect(s) and --overwrite is false" "节点 {node} 已有污点 {taint}；使用 --overwrite 替换";
    TaintMissing {} "at least one taint KEY=VALUE:EFFECT is needed" "至少需要一个污点 KEY=VALUE:EFFECT";
    TaintNeedsNodes { word } "only nodes have taints, not \"{word}\": ac adm taint nodes NODE KEY=VALUE:EFFECT" "只有节点有污点，而不是 \"{word}\"：ac adm taint nodes NODE KEY=VALUE:EFFECT";
    TaintTwice { taint } "taint \"{taint}\" is given more than once" "污点 \"{taint}\" 重复";
    TaintWhichNodes {} "name nodes, or use --all or -l, and not both" "请指定节点名称，或使用 --all 或 -l，二者不可同时使用";
    AccessTokenInKubeconfig {} "a token from the browser lasts minutes, so it is of no use in a kubeconfig: use --username, or --token-stdin with a token of ac tokens create"
        "通过浏览器获得的令牌只有几分钟有效，不适合写入 kubeconfig：请使用 --username，或用 --token-stdin 输入由 ac tokens create 创建的令牌";
    AnswerNotJson {} "the server's answer is not JSON" "服务器的应答不是 JSON";
    AnswerNotUnderstood {} "the platform's answer lacks something we need" "平台的应答缺少所需的内容";
    BadCascade { value } "invalid cascade value \"{value}\": must be background, foreground or orphan"
        "cascade 的值 \"{value}\" 无效：应为 background、foreground 或 orphan";
    BadClusterName { name } "\"{name}\" cannot be a cluster's name: use lower-case letters, digits and dashes, at most 63"
        "\"{name}\" 不能作为集群名称：只能使用小写字母、数字和连字符，最多 63 个字符";
    BadColumns { spec } "custom-columns needs HEADER:.path,..., not \"{spec}\""
        "custom-columns 的格式应为 HEADER:.path,...，而不是 \"{spec}\"";
    BadDuration { text } "\"{text}\" is not a duration such as 30s or 5m" "\"{text}\" 不是有效的时长，例如 30s 或 5m";
    BadEmail { email } "\"{email}\" is not an e-mail address" "\"{email}\" 不是有效的邮箱地址";
    BadExpiry { text } "\"{text}\" is not a time ahead such as 30d, 12h or 2030-01-31T00:00:00Z" "\"{text}\" 不是有效的未来时间，例如 30d、12h 或 2030-01-31T00:00:00Z";
    BadJsonPath { template, problem } "error parsing jsonpath {template}, {problem}" "无法解析 jsonpath {template}：{problem}";
    BadNamespace { namespace } "\"{namespace}\" cannot be a namespace's name" "\"{namespace}\" 不能作为命名空间名称";
    BadRequest {} "could not form the request" "无法构造请求";
    BadLimit { flag, word } "{flag}: \"{word}\" is not an amount such as cpu=500m or memory=512Mi" "{flag}：\"{word}\" 不是有效的数量，例如 cpu=500m 或 memory=512Mi";
    BadSelector { why } "the label selector is not valid: {why}" "标签选择器无效：{why}";
    BadSessionName { name } "\"{name}\" cannot be a session's name" "\"{name}\" 不能作为会话名称";
    BadToken {} "the token contains blanks" "令牌中含有空白字符";
    BadName { name } "\"{name}\" cannot be a name here: use lower-case letters, digits and dashes, at most 63"
        "\"{name}\" 不能作为此处的名称：只能使用小写字母、数字和连字符，最多 63 个字符";
    BadOrder { order } "\"{order}\" is no order: use name, namespace, cluster, kind or age, with a dash before it for the other way round"
        "不支持的排序 \"{order}\"：可使用 name、namespace、cluster、kind 或 age，前面加连字符表示倒序";
    BadQuota { word } "\"{word}\" is not a bound such as limits.cpu=10 or east:pods=50" "\"{word}\" 不是有效的配额，例如 limits.cpu=10 或 east:pods=50";
    BoundByPlatform { binding, origin } "binding \"{binding}\" follows from user binding \"{origin}\" of the platform and would come back: take the platform's role away instead"
        "绑定 \"{binding}\" 来自平台的 UserBinding \"{origin}\"，删除后会恢复：请改为收回平台角色";
    ClusterStale { cluster, time } "cluster \"{cluster}\" has not been heard of since {time}; what is shown of it is as it was then" "自 {time} 起没有集群 \"{cluster}\" 的消息，所显示的是当时的状态";
    ClusterUnseen { cluster } "cluster \"{cluster}\" has not been seen whole yet; what is shown of it may be a part" "集群 \"{cluster}\" 尚未被完整读取，所显示的可能只是一部分";
    DeleteProjectNeedsYes { name } "deleting project \"{name}\" needs --yes: nobody is there to ask" "删除项目 \"{name}\" 需要 --yes：当前无法交互询问";
    ExplainAllowed { who, what, place } "yes: {who} can {what} {place}" "yes：{who} 可以在{place} {what}";
    ExplainRefused { who, what, place } "no: {who} cannot {what} {place}" "no：{who} 不可以在{place} {what}";
    FlagNeeded { flag } "{flag} is needed" "缺少 {flag}";
    Gains { who, place } "{who} gains {place}:" "{who} 在{place}获得：";
    GainsRole { who, role, place } "{who} gets what {role} holds, {place}:" "{who} 在{place}获得 {role} 的以下权限：";
    Grantors {} "These can grant it:" "以下用户或用户组可以授予：";
    InCluster { cluster } "in cluster {cluster}" "集群 {cluster} 中";
    InNamespace { namespace, cluster } "in namespace {namespace} of cluster {cluster}" "集群 {cluster} 的命名空间 {namespace} 中";
    Loses { who, place } "{who} loses {place}:" "{who} 在{place}失去：";
    LosesRole { who, role, place } "{who} no longer gets what {role} holds, {place}:" "{who} 在{place}不再获得 {role} 的以下权限：";
    MissingRule { rule } "What is missing: {rule}" "缺少的权限：{rule}";
    MoreFound { shown, total } "{shown} of {total} are shown; --all shows the others too" "共 {total} 项，已显示 {shown} 项；使用 --all 显示全部";
    NamespaceHalfMade { made, missing, cluster }
        "{made} was created, {missing} was not. With what was refused put right, the same command with --dry-run=client -o yaml, piped into ac apply --cluster {cluster} -f -, makes the rest"
        "已创建 {made}，未创建 {missing}。修正被拒绝的内容后，用相同的命令加上 --dry-run=client -o yaml，并将输出通过管道传给 ac apply --cluster {cluster} -f -，即可创建其余部分";
    NamespacesGo { cluster, names } "Deleted in cluster {cluster}, with all that is in them: {names}" "集群 {cluster} 中以下命名空间及其全部内容将被删除：{names}";
    NamespacesStay { cluster, names } "In cluster {cluster} these namespaces stay and belong to no project: {names}" "集群 {cluster} 中以下命名空间将保留，但不再属于任何项目：{names}";
    LimitAbove { flag, word, other, most } "{flag}: {word} is more than {other} allows, which is {most}" "{flag}：{word} 超过了 {other} 的 {most}";
    LimitTwice { flag, key } "{flag}: \"{key}\" is given twice" "{flag}：重复指定了 \"{key}\"";
    NoGrantors {} "Nobody whom you may know of can grant it; ask an administrator of the platform." "没有您可见的用户或用户组可以授予；请联系平台管理员。";
    NoTarget { target } "unable to find target [{target}]" "找不到目标 [{target}]";
    NothingChanges {} "Nobody gains or loses anything." "没有任何权限变化。";
    OneClusterOnly {} "--cluster names one cluster here" "此处 --cluster 只能指定一个集群";
    PreviewBlind { clusters } "nothing is known of these clusters, where it would count too: {clusters}" "以下集群的情况未知，变更同样会在其中生效：{clusters}";
    PreviewTooLong {} "there are more changes than are shown" "变更过多，未全部显示";
    ProjectClusterAway { cluster } "cluster \"{cluster}\" did not say which namespaces of the project it has" "集群 \"{cluster}\" 没有返回项目的命名空间";
    ProjectHasNoCluster { project, cluster } "project \"{project}\" has no cluster \"{cluster}\"" "项目 \"{project}\" 没有集群 \"{cluster}\"";
    PromptLeaveBehind { word }
        "Agents that lack the authority are cut off until they are registered again. Type \"{word}\" to confirm:"
        "尚未取得该颁发机构的代理将被断开，直至重新注册。请输入 \"{word}\" 以确认：";
    LeaveBehindNeedsYes {} "agents would be cut off: run this in a terminal, or give --yes" "将断开部分代理：请在终端中运行，或指定 --yes";
    AgentsReady { ready, total } "{ready} of {total} agents have what they need" "{total} 个代理中已有 {ready} 个就绪";
    AgentLacks { cluster, message } "the agent of {cluster}: {message}" "{cluster} 的代理：{message}";
    AuthorityIntroduced {} "next: give the certificates of both to whoever verifies the platform, then ac adm rotate-authority --step switch (back: --step back)"
        "下一步：将两者的证书分发给所有验证平台的一方，然后执行 ac adm rotate-authority --step switch（撤销：--step back）";
    AuthoritySwitched {} "next: ac adm rotate-authority --step retire, which cannot be taken back (back: --step back)"
        "下一步：ac adm rotate-authority --step retire，该步骤不可撤销（撤销上一步：--step back）";
    PromptUpgradeAgents { count, image } "Give {count} agents the image {image}? [y/N]" "将 {count} 个代理升级到镜像 {image}？[y/N]";
    UpgradeNeedsYes {} "agents would be given another image: run this in a terminal, or give --yes" "将更换代理的镜像：请在终端中运行，或指定 --yes";
    NoUpgrade { image } "there was no upgrade yet; clusters that register now get the image {image}" "尚未进行过升级；当前新注册的集群使用镜像 {image}";
    UpgradeStands { image, phase, done, total, failed, skipped }
        "upgrade to {image}: {phase}; {done} of {total} done, {failed} failed, {skipped} left out"
        "升级到 {image}：{phase}；{total} 个中已完成 {done} 个，失败 {failed} 个，跳过 {skipped} 个";
    UpgradeStopped {} "next: mend what failed, then ac adm upgrade-agents --resume, which tries it again; or --cancel"
        "下一步：排除故障后执行 ac adm upgrade-agents --resume 重试；或执行 --cancel 终止";
    UpgradePaused {} "next: ac adm upgrade-agents --resume, or --cancel" "下一步：ac adm upgrade-agents --resume 继续，或 --cancel 终止";
    PromptDeleteProject { name } "Project \"{name}\" is deleted in all its clusters, and with it all rights in it. Type its name to confirm:"
        "项目 \"{name}\" 将从其所有集群中删除，其中的所有权限也随之失效。请输入项目名称以确认：";
    PromptRemoveProjectCluster { project, clusters } "Take {clusters} from project \"{project}\"? [y/N]" "从项目 \"{project}\" 移除集群 {clusters}？[y/N]";
    QuotaForOtherCluster { cluster } "--quota names cluster \"{cluster}\", which --cluster does not" "--quota 指定了 --cluster 中没有的集群 \"{cluster}\"";
    QuotaTwice { key } "\"{key}\" is bounded twice" "重复指定了 \"{key}\" 的上限";
    RemoveProjectClusterNeedsYes { project } "taking clusters from project \"{project}\" needs --yes: nobody is there to ask" "从项目 \"{project}\" 移除集群需要 --yes：当前无法交互询问";
    RoleMissing { role } "{role} not found" "找不到 {role}";
    RolesGo { count } "Roles given in it that end: {count}" "其中已授予的角色将被收回：{count}";
    RolesThatGive {} "Roles that give it:" "以下角色包含该权限：";
    SearchForWhat {} "say what to search for: words, --kind, --cluster, --project, --namespace, --selector or --image"
        "请指定查找内容：关键词、--kind、--cluster、--project、--namespace、--selector 或 --image";
    You {} "you" "您";
    BadTypeName { argument } "arguments in resource/name form must have a single resource and name, not \"{argument}\""
        "TYPE/NAME 形式的参数只能包含一个类型和一个名称，而不是 \"{argument}\"";
    BadUrl { url } "\"{url}\" is not a platform address: it must be https://HOST[:PORT] without user, query or fragment"
        "\"{url}\" 不是有效的平台地址：应为 https://HOST[:PORT]，且不含用户信息、查询或片段";
    BrowserOpens {} "Your browser opens to sign you in. If it does not, open this address:"
        "正在打开浏览器进行登录。如果没有自动打开，请访问以下地址：";
    CaReplaced { url } "the certificate authority of {url} is not the one of your earlier sign-in: unless your administrator has replaced it, somebody may be in between"
        "{url} 的证书颁发机构与您之前登录时的不同：除非管理员已更换，否则可能存在中间人";
    CaShown { url, subject, fingerprint }
        "The certificate authority of {url} is not known to this machine.\n  Subject: {subject}\n  SHA-256: {fingerprint}\nCompare the fingerprint with the one your administrator gave you."
        "本机尚不认识 {url} 的证书颁发机构。\n  主体：{subject}\n  SHA-256：{fingerprint}\n请与管理员提供的指纹核对。";
    CaUnknown { url, fingerprint } "the certificate authority of {url} is not known to this machine (SHA-256 {fingerprint})"
        "本机尚不认识 {url} 的证书颁发机构（SHA-256 {fingerprint}）";
    Cancelled {} "cancelled" "已取消";
    CertificateInvalid { url } "the certificate of {url} is not valid for this address" "{url} 的证书对该地址无效";
    ClusterFailed { cluster, why } "Error from cluster {cluster}: {why}" "来自集群 {cluster} 的错误：{why}";
    ClusterJoined { name } "cluster \"{name}\" has joined" "集群 \"{name}\" 已加入";
    ClusterNotInSession { cluster, session } "cluster \"{cluster}\" is not in session \"{session}\""
        "会话 \"{session}\" 中没有集群 \"{cluster}\"";
    ClusterNotVisible { cluster } "cluster \"{cluster}\" does not exist on the platform or is not visible to you"
        "平台上没有集群 \"{cluster}\"，或者您无权查看";
    ClustersByName {} "clusters are removed by name, one by one" "集群只能按名称逐个移除";
    ClustersFromKubeconfig {} "the platform did not list its clusters; using those of the last sync"
        "平台未能列出集群，改用上次同步的集群列表";
    CommandLost {} "the connection to the command was lost; it may still be running" "与命令的连接已断开，命令可能仍在运行";
    ContextUnusable { context } "context \"{context}\" cannot be used" "上下文 \"{context}\" 不可用";
    CouldNotReadAnswer {} "could not read the answer" "无法读取输入";
    CouldNotReadFile { path } "could not read {path}" "无法读取 {path}";
    CouldNotReadKubeconfig { path } "could not read kubeconfig {path}" "无法读取 kubeconfig {path}";
    CouldNotReadStdin {} "could not read standard input" "无法读取标准输入";
    CouldNotRun { program } "could not run {program}" "无法运行 {program}";
    CouldNotWriteFile { path } "could not write {path}" "无法写入 {path}";
    CouldNotWriteOutput {} "could not write the output" "无法写出结果";
    CredentialsLocked { path } "the credentials in {path} are being changed by another program" "{path} 中的凭据正被其他程序修改";
    Deadline {} "no answer in time" "未在规定时间内应答";
    DeleteTimedOut {} "timed out waiting for the deletion" "等待删除超时";
    DeviceCodeExpired {} "the code has expired before it was confirmed; sign in again for a new one" "验证码在确认前已过期，请重新登录以获取新的验证码";
    DryRunClientServerSide {} "--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)"
        "--dry-run=client 不能与 --server-side 同时使用（是否要用 --dry-run=server？）";
    EmptySecret {} "the password or token is empty" "密码或令牌为空";
    EmptyTokenFromServer {} "the platform answered with an empty token" "平台返回了空令牌";
    EnterCode { url, code } "On any device, open {url}\nand enter this code: {code}" "请在任意设备上打开 {url}\n并输入验证码：{code}";
    EntryNotOurs { section, name }
        "\"{name}\" in {section} of the kubeconfig was not made by ac, so it is left alone; rename it or choose another --name"
        "kubeconfig 的 {section} 中的 \"{name}\" 并非由 ac 创建，因此未作改动；请将其改名或使用其他 --name";
    FieldMissing { path, field } "an object in {path} has no {field}" "{path} 中的对象缺少 {field}";
    FingerprintDiffers { url, fingerprint } "the certificate authority of {url} has another fingerprint: {fingerprint}"
        "{url} 的证书颁发机构的指纹不符：{fingerprint}";
    FleetWatchFormat {} "watching several clusters works with tables, tsv and names only"
        "监视多个集群时只支持表格、tsv 和 name 输出";
    GenerateNameInApply { name } "from {name}: cannot use generate name with apply" "{name}：apply 不能使用 generateName";
    GlobalStays {} "global is the platform itself and cannot be removed" "global 就是平台本身，不能移除";
    GroupsUnavailable { groups } "these groups did not answer: {groups}" "以下 API 组没有应答：{groups}";
    HintCertificateAuthority {} "ac login URL --certificate-authority ca.crt" "ac login URL --certificate-authority ca.crt （指定平台 CA 文件）";
    HintCodeStdin {} "pass it with --code-stdin, or sign in with an API token: ac login URL --token-stdin"
        "可用 --code-stdin 传入，或使用 API 令牌登录：ac login URL --token-stdin";
    HintDisableSecondFactor {} "ac second-factor disable" "请执行 ac second-factor disable";
    HintFingerprint { fingerprint } "compare it with your administrator's, then ac login URL --ca-fingerprint {fingerprint}"
        "请与管理员核对后执行 ac login URL --ca-fingerprint {fingerprint}";
    HintKubectl {} "install kubectl (https://kubernetes.io/docs/tasks/tools/) and put it on PATH"
        "请安装 kubectl（https://kubernetes.io/docs/tasks/tools/）并加入 PATH";
    HintKubectlFlag {} "with kubectl on PATH, flags that only kubectl has work too"
        "若 PATH 中有 kubectl，则 kubectl 独有的参数也可使用";
    HintLogin {} "ac login https://PLATFORM --name SESSION" "请执行 ac login https://PLATFORM --name SESSION";
    HintLoginAs { url, session, username } "on a terminal: ac login {url} --name {session} --username {username}"
        "请在终端中执行：ac login {url} --name {session} --username {username}";
    HintLoginAt { url } "ac login {url} --name SESSION" "请执行 ac login {url} --name SESSION";
    HintSessions {} "ac config get-sessions" "请执行 ac config get-sessions";
    HintSync { session } "ac config sync --session {session}" "请执行 ac config sync --session {session}";
    HintUseCluster { cluster } "ac config use-cluster {cluster}" "请执行 ac config use-cluster {cluster}";
    HintWatchCluster { name } "follow it with: ac get clusters {name} -w" "可用以下命令查看进展：ac get clusters {name} -w";
    ImportNeedsSource {} "name the cluster by --kubeconfig FILE, or by --server, --certificate-authority and --token-stdin"
        "请用 --kubeconfig FILE，或用 --server、--certificate-authority 和 --token-stdin 指明要导入的集群";
    ImportWouldWork { name, version, nodes } "{name} can be imported: Kubernetes {version}, {nodes} nodes"
        "可以导入 {name}：Kubernetes {version}，{nodes} 个节点";
    InsecureTls {} "the platform's certificate is not checked; anyone in between can read what you send"
        "未校验平台证书，中间人可以读取您发送的内容";
    IssuerDiffers { url, issuer } "{url} signs people in at another address, {issuer}" "{url} 的登录服务使用了另一个地址 {issuer}";
    KubeconfigLocked { path } "{path} is being changed by another program" "{path} 正被其他程序修改";
    LogoutAtProvider { url } "To sign out at the identity provider too, open {url}" "如需同时从身份提供方注销，请打开 {url}";
    ManySuchUsers { user, names } "several users are called \"{user}\"; say which by name: {names}" "有多个用户名为 \"{user}\"；请用名称指明：{names}";
    MixedForms { argument } "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form: \"{argument}\""
        "使用 TYPE/NAME 形式时不能再单独给出类型或名称：\"{argument}\"";
    NameEmpty {} "resource name may not be empty" "资源名称不能为空";
    NameMissing { path } "an object in {path} has no metadata.name" "{path} 中的对象缺少 metadata.name";
    NameWithSelector {} "a name cannot be used together with a selector, --all or all namespaces"
        "名称不能与选择器、--all 或所有命名空间同时使用";
    NamespaceDiffers { own, asked }
        "the namespace from the provided object \"{own}\" does not match the namespace \"{asked}\". You must pass '--namespace={own}' to perform this operation."
        "对象中的命名空间 \"{own}\" 与指定的命名空间 \"{asked}\" 不一致，必须使用 '--namespace={own}'。";
    NeedsOneCluster {} "this form of the command is kubectl's, which works on one cluster: leave out --all-clusters, --clusters and --ignore-errors"
        "该命令形式由 kubectl 执行，只能用于一个集群：请去掉 --all-clusters、--clusters 和 --ignore-errors";
    NeedsYes {} "ending several sessions needs --yes: nobody is there to ask" "结束多个会话需要 --yes：当前无法交互询问";
    NextCode {} "The second factor is set up; sign in with the next code that the app shows." "第二验证因素已设置；请用应用显示的下一个验证码登录。";
    No {} "no" "否";
    NeedsValue { flag } "{flag} is needed: nobody is there to ask" "缺少 {flag}：当前无法交互询问";
    NoBrowserHere {} "There is no browser here; to sign in with one on another device, use --device-code." "此处没有浏览器；如需在其他设备的浏览器中登录，请使用 --device-code。";
    NoCaInChain { url } "the certificate of {url} is not trusted, and the server does not show the authority behind it"
        "{url} 的证书不受信任，且服务器没有出示其证书颁发机构";
    NoCertificateInFile { path } "{path} contains no certificate" "{path} 中没有证书";
    NoClusterVisible { username } "\"{username}\" may not use any cluster of this platform; an administrator has to grant a role first"
        "\"{username}\" 无权使用该平台的任何集群；请先由管理员授予角色";
    NoContextFor { cluster } "there is no context for cluster \"{cluster}\" yet" "集群 \"{cluster}\" 还没有上下文";
    NoCurrentSession {} "the current context belongs to no session" "当前上下文不属于任何会话";
    NoDeviceSignIn { url } "{url} cannot sign people in this way; use --username" "{url} 不支持这种登录方式；请使用 --username";
    NoHome {} "there is no home directory to keep configuration in; set HOME, or use --config FILE"
        "没有可存放配置的主目录；请设置 HOME，或使用 --config FILE";
    NoKubectl { verb } "\"{verb}\" is kubectl's, and there is no kubectl on PATH" "\"{verb}\" 由 kubectl 提供，但 PATH 中没有 kubectl";
    NoKubectlForForm { verb } "this form of \"{verb}\" is kubectl's, and there is no kubectl on PATH"
        "\"{verb}\" 的这种形式由 kubectl 提供，但 PATH 中没有 kubectl";
    NoListener {} "could not open a port for the browser's answer" "无法为浏览器的应答打开端口";
    NoObjects {} "no objects passed to the command" "没有可处理的对象";
    NoPlugins {} "unable to find any ac or kubectl plugins in your PATH" "PATH 中没有找到任何 ac 或 kubectl 插件";
    NoPodsFor { resource } "{resource} has no pods" "{resource} 没有 Pod";
    NoRandomness {} "this machine gives no random numbers" "本机无法提供随机数";
    NoRawTerminal {} "could not prepare the terminal" "无法设置终端";
    NoRuntime {} "could not start" "无法启动";
    NoSessions {} "No sessions are configured." "尚未配置任何会话。";
    NoSuchCluster { cluster } "cluster \"{cluster}\" does not exist" "集群 \"{cluster}\" 不存在";
    NoSuchContext { context } "context \"{context}\" does not exist" "上下文 \"{context}\" 不存在";
    NoSuchKind { kind, api_version } "no matches for kind \"{kind}\" in version \"{api_version}\"; ensure CRDs are installed first"
        "版本 \"{api_version}\" 中没有类型 \"{kind}\"；请先安装 CRD";
    NoSuchPath { path } "the path \"{path}\" does not exist" "路径 \"{path}\" 不存在";
    NoSuchResourceType { name } "the server doesn't have a resource type \"{name}\"" "服务器没有资源类型 \"{name}\"";
    NoSuchSession { session } "session \"{session}\" does not exist" "会话 \"{session}\" 不存在";
    NoSuchUser { user } "user \"{user}\" does not exist or is not visible to you" "用户 \"{user}\" 不存在，或者您无权查看";
    NoSystemRoots {} "could not read this machine's trusted certificates" "无法读取本机的受信任证书";
    NotAKubeconfig { path } "{path} is not a kubeconfig" "{path} 不是 kubeconfig";
    NotJoinedInTime { name, timeout } "cluster \"{name}\" has not joined within {timeout}" "集群 \"{name}\" 未在 {timeout} 内加入";
    NotLoggedIn {} "you are not logged in: there is no current context" "尚未登录：没有当前上下文";
    NotRevoked { session, why } "the token of session \"{session}\" could not be revoked and lives until it expires: {why}"
        "会话 \"{session}\" 的令牌未能吊销，到期前仍然有效：{why}";
    NotTrusted {} "the certificate authority was not trusted; nothing was sent" "未信任该证书颁发机构，没有发送任何内容";
    NotYaml { path } "{path} is neither YAML nor JSON" "{path} 不是 YAML 或 JSON";
    NothingNamed {} "resource(s) were provided, but no name was specified" "给出了资源类型，但没有给出名称";
    OpenInBrowser {} "Open this address in a browser on this machine to sign in:" "请在本机浏览器中打开以下地址进行登录：";
    OtherIssuerAnswered {} "the browser's answer is from another issuer; nothing was signed in" "浏览器的应答来自其他签发方，没有登录";
    OutputNeedsArgument { format } "-o {format} needs a value: {format}=..." "-o {format} 需要取值：{format}=...";
    PageAnswered {} "This sign-in is over" "本次登录已结束";
    PageBackToTerminal {} "You can close this page and go back to the terminal." "可以关闭此页面并返回终端。";
    PageNotSignedIn {} "You are not signed in" "未能登录";
    PageSignedIn {} "You are signed in" "登录成功";
    PageStray {} "Nothing to see here" "此处没有内容";
    PageStrayWhy {} "This address only takes the answer to a sign-in that was started in a terminal. Start it again from there." "此地址只接收从终端发起的登录应答。请从终端重新发起登录。";
    PageTerminalSaysWhy {} "The terminal says why. You can close this page." "原因请见终端。可以关闭此页面。";
    PasswordMustChange {} "the password must be changed first" "必须先修改密码";
    PasswordOnCommandLine {} "a password on the command line is visible to others on this machine; use --password-stdin"
        "命令行中的密码对本机其他用户可见；请使用 --password-stdin";
    PasswordShownOnce {} "The password is not shown again, and must be changed at the first sign-in." "该密码不会再次显示，首次登录时必须修改。";
    PasswordsDiffer {} "the two passwords are not the same" "两次输入的密码不一致";
    PluginNotExecutable { path } "{path} identified as a plugin, but it is not executable" "{path} 是插件，但不可执行";
    PluginOverrides { path, verb } "{path} does not run: \"{verb}\" is a built-in command" "{path} 不会被运行：\"{verb}\" 是内置命令";
    PluginShadowed { path } "{path} is overshadowed by a plugin of the same name" "{path} 被同名插件遮盖";
    PluginsFollow {} "The following plugins are available:" "可用的插件：";
    PodCompleted { phase } "cannot exec into a container in a completed pod; current phase is {phase}"
        "不能在已结束的 Pod 中执行命令；当前阶段为 {phase}";
    ProviderHasOwnPage { idp } "identity provider \"{idp}\" signs people in on a page of its own, in the browser: leave out the password" "身份提供方 \"{idp}\" 在浏览器中用自己的页面登录：请不要提供密码";
    Relisting { resource } "the watch of {resource} lost its place; listing again" "对 {resource} 的监视失去了位置，正在重新列出";
    RemoteFailed { message } "the command could not be run: {message}" "命令无法运行：{message}";
    RemoveNeedsYes { name } "removing cluster \"{name}\" needs --yes: nobody is there to ask"
        "移除集群 \"{name}\" 需要 --yes：当前无法交互询问";
    RemoveStaleLock { path } "if no other program runs: rm {path}" "如果没有其他程序在运行：rm {path}";
    RequestId { id } "request id: {id}" "请求编号：{id}";
    RunInCluster { name } "Run this in the cluster that is to join as \"{name}\":" "请在要以 \"{name}\" 加入的集群中执行：";
    ScanSecret {} "Scan this with an authenticator app:" "请用身份验证器应用扫描：";
    SecondFactorAbsent {} "No second factor is set up." "尚未设置第二验证因素。";
    SecondFactorExists {} "a second factor is set up already" "已经设置了第二验证因素";
    SecondFactorMissing {} "the platform requires a second factor, and you have none yet" "平台要求第二验证因素，而您尚未设置";
    SecondFactorNeeded {} "a code of the second factor is needed" "需要第二验证因素的验证码";
    SecondFactorNeedsTerminal {} "a second factor is set up on a terminal; in a script, first with --secret-only and then with --code-stdin"
        "第二验证因素需在终端中设置；在脚本中请先使用 --secret-only，再使用 --code-stdin";
    SecretByHand { secret } "or give it this secret: {secret}" "或手动输入密钥：{secret}";
    SecretToConfirm {} "The secret counts once a code of it has come: ac second-factor enable --code-stdin"
        "提交该密钥的验证码后才生效：ac second-factor enable --code-stdin";
    SessionExpired { session, url } "session \"{session}\" has expired; run: ac login {url} --name {session}"
        "会话 \"{session}\" 已过期；请执行：ac login {url} --name {session}";
    SignInDenied {} "the sign-in was refused in the browser" "登录在浏览器中被拒绝";
    SignInRefused { error, description } "the platform refused the sign-in: {error} {description}" "平台拒绝了登录：{error} {description}";
    SignInTimedOut {} "no answer came from the browser in time" "浏览器未在规定时间内应答";
    Synced { session, added, removed } "Session \"{session}\" is up to date (added: {added}; removed: {removed})."
        "会话 \"{session}\" 已是最新（新增：{added}；移除：{removed}）。";
    SortFieldMissing { path } "couldn't find any field with path \"{path}\" in the list of objects" "列表中的对象都没有路径为 \"{path}\" 的字段";
    SortIgnored {} "--watch or --watch-only requested, --sort-by will be ignored" "指定了 --watch 或 --watch-only，将忽略 --sort-by";
    TokenEnds { time } "The token in it works once, until {time}." "其中的令牌只能使用一次，有效期至 {time}。";
    TokenForOtherServer { session, server } "the token of session \"{session}\" is not for {server}" "会话 \"{session}\" 的令牌不能用于 {server}";
    TokenRefused { url } "{url} does not take this token: it is not whole, has expired, was revoked, or is another platform's"
        "{url} 不接受该令牌：令牌不完整、已过期、已吊销，或属于其他平台";
    TokenShownOnce { id, time } "Token \"{id}\" works until {time}. It is not shown again." "令牌 \"{id}\" 有效期至 {time}，不会再次显示。";
    TooLarge { what, limit } "{what} is larger than {limit}" "{what} 超过 {limit}";
    TooManyLogs { count, limit }
        "you are attempting to follow {count} log streams, but maximum allowed concurrency is {limit}, use --max-log-requests to increase the limit"
        "要跟踪 {count} 个日志流，但最多只允许 {limit} 个；可用 --max-log-requests 提高上限";
    TooManyLogins { seconds } "too many attempts; try again in {seconds} seconds" "尝试次数过多，请在 {seconds} 秒后重试";
    TypeMissing {} "You must specify the type of resource. Use \"ac api-resources\" for a complete list of supported resources."
        "必须指定资源类型。可用 \"ac api-resources\" 查看支持的资源。";
    UnknownCommand { verb } "\"{verb}\" is neither a command of ac nor a plugin on PATH, and there is no kubectl that might know it"
        "\"{verb}\" 既不是 ac 的命令，也不是 PATH 中的插件，且没有可能识别它的 kubectl";
    UnknownIdp { idp, known } "identity provider \"{idp}\" is not known; these are: {known}" "未知的身份提供方 \"{idp}\"；可用的有：{known}";
    UnknownOutput { format } "unable to match a printer suitable for the output format \"{format}\"" "不支持的输出格式 \"{format}\"";
    UserUnknown { user } "user \"{user}\" has not been here yet" "用户 \"{user}\" 尚未在平台登录过";
    VersionSkew { client, server }
        "version difference between client ({client}) and server ({server}) exceeds the supported minor version skew of +/-1"
        "客户端（{client}）与服务器（{server}）的版本差超过了支持的一个次版本";
    WaitingForCluster { name } "Waiting for cluster \"{name}\" to join..." "正在等待集群 \"{name}\" 加入……";
    WaitingForCode { minutes } "Waiting for the code to be confirmed; it is valid for {minutes} more min, Ctrl-C ends." "正在等待确认验证码；剩余有效时间 {minutes} 分钟，按 Ctrl-C 结束。";
    WatchInterrupted { resource, why } "the watch of {resource} was interrupted and will be taken up again: {why}"
        "对 {resource} 的监视中断，将继续尝试恢复：{why}";
    WatchOneType {} "you may only specify a single resource type" "监视时只能指定一种资源类型";
    WhoEnds { end } "Session ends: {end}" "会话到期：{end}";
    WhoGroups { groups } "Groups: {groups}" "用户组：{groups}";
    WhoProvider { provider } "Provider: {provider}" "身份提供方：{provider}";
    WhoSecondFactor { used } "Second factor: {used}" "第二验证因素：{used}";
    WrongCode {} "the code of the second factor is wrong" "第二验证因素的验证码错误";
    WrongPassword { username } "wrong user name or password for \"{username}\"" "\"{username}\" 的用户名或密码错误";
    Yes {} "yes" "是";
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn chinese(text: &str) -> bool {
        text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    }

    /// Published in English.
    const PUBLISHED: &[&str] = &["PromptPlatformUrl", "PromptSession", "PromptUsername", "PromptPassword"];

    #[test]
    fn both_languages_say_everything() {
        for (name, fields, text) in Text::samples() {
            let (en, zh) = (text.render(Lang::En), text.render(Lang::Zh));
            assert!(!chinese(&en), "{name}: {en}");
            assert!(chinese(&zh) || PUBLISHED.contains(&name), "{name}: {zh}");
            for field in fields {
                assert!(en.contains(&field) && zh.contains(&field), "{name} leaves out {field}");
            }
        }
    }

    #[test]
    fn the_language_follows_the_environment() {
        let lang = |pairs: &[(&str, &str)]| {
            let variables = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            Lang::from_env(&Environment { variables, ..Environment::default() })
        };
        assert_eq!(lang(&[]), Lang::En);
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8")]), Lang::Zh);
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8"), ("LC_ALL", "C")]), Lang::En);
        assert_eq!(lang(&[("LANG", "zh_CN.UTF-8"), ("AC_LANG", "en")]), Lang::En);
        assert_eq!(lang(&[("AC_LANG", "zh")]), Lang::Zh);
    }
}
