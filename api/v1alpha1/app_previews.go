package v1alpha1

// PreviewPolicy is what the platform owner allows of previews of pull requests. In templates "{app}"
// stands for the app's name, "{group}" for that of the group and "{number}" for the number of the pull
// request.
//
// +kubebuilder:validation:XValidation:rule="!has(self.group) || !has(self.__namespace__) || !self.__namespace__.contains('{app}')",message="the namespace of a group has no {app} in it: its apps could not share it"
// +kubebuilder:validation:XValidation:rule="has(self.group) || !((has(self.__namespace__) && self.__namespace__.contains('{group}')) || (has(self.host) && self.host.contains('{group}')) || (has(self.url) && self.url.contains('{group}')))",message="{group} needs a group"
type PreviewPolicy struct {
	// namespace is the template of the Kubernetes namespace of each. The agent makes
	// it, and neither uses nor deletes one that is there already. Absent:
	// "{app}-pr-{number}", or "{group}-pr-{number}" where there is a group.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{app\}|\{group\}|\{number\})([-a-z0-9]|\{app\}|\{group\}|\{number\})*$`
	// +kubebuilder:validation:XValidation:rule="self.contains('{number}') && !self.startsWith('kube-') && !self.endsWith('-')",message="the namespace of a preview has {number} in it, is not one of Kubernetes itself and does not end with a dash"
	Namespace string `json:"namespace,omitempty"`
	// host is the template of the host name of a preview's public services, such as
	// "pr-{number}.{app}.preview.example.com". Absent: none is reached from outside.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^([a-z0-9]|\{app\}|\{group\}|\{number\})([-a-z0-9.]|\{app\}|\{group\}|\{number\})*([a-z0-9]|\{app\}|\{group\}|\{number\})$`
	// +kubebuilder:validation:XValidation:rule="self.contains('{number}')",message="the host of a preview has {number} in it"
	Host string `json:"host,omitempty"`
	// url is the template of where a preview answers; it is linked from checks.
	// Absent: https:// and the host.
	// +optional
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^https?://[^\s]+$`
	URL string `json:"url,omitempty"`
	// routing is how the cluster lets traffic in to public services.
	// +optional
	Routing Routing `json:"routing,omitzero"`
	// quota is what all pods of a preview may request together. The quotas of the apps
	// of a group add up.
	// +optional
	// +kubebuilder:default={}
	Quota Quota `json:"quota,omitzero"`
	// group is the name that apps of one repository have in common which are to be one
	// preview: they share its namespace, and reach each other there. Their namespace
	// templates have to give the same; so may those of their hosts, if they answer to
	// different paths. Absent: each app has a namespace of its own.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z]([-a-z0-9]*[a-z0-9])?$`
	Group string `json:"group,omitempty"`
	// idleTTL is how long a preview stays after the last push, "72h" by default; "0s":
	// forever.
	// +optional
	// +kubebuilder:default="72h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	IdleTTL string `json:"idleTTL,omitempty"`
	// ttl is how long a preview stays whatever is pushed, "336h" by default; "0s":
	// forever. The next push after its end makes it anew.
	// +optional
	// +kubebuilder:default="336h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	TTL string `json:"ttl,omitempty"`
	// sleepAfter is how long after the last activity a preview is scaled to zero.
	// Absent or "0s": never.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	SleepAfter string `json:"sleepAfter,omitempty"`
	// keepLabel is the label of a pull request whose preview has no time to live, and
	// makes room for no other.
	// +optional
	// +kubebuilder:default="keep-preview"
	// +kubebuilder:validation:MaxLength=50
	KeepLabel string `json:"keepLabel,omitempty"`
	// wakeLabel is the label of a pull request whose preview is woken, or kept from
	// sleeping while it is there.
	// +optional
	// +kubebuilder:default="wake-preview"
	// +kubebuilder:validation:MaxLength=50
	WakeLabel string `json:"wakeLabel,omitempty"`
	// teardownTimeout is how long an app's teardown command has before the preview goes
	// without it.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	TeardownTimeout string `json:"teardownTimeout,omitempty"`
	// databases are what throwaway databases are made of. An app that wants one of a
	// kind that is absent is denied.
	// +optional
	Databases PreviewDatabases `json:"databases,omitzero"`
	// clone fills new databases before the app's own commands run. Absent: they are
	// empty.
	// +optional
	Clone *CloneHook `json:"clone,omitempty"`
	// egress says what pods of previews may connect to outside of their namespace.
	// Absent: the internet and the cluster's DNS, no private address.
	// +optional
	Egress *PreviewEgress `json:"egress,omitempty"`
	// forks are the previews of code that comes from a fork, which somebody with write
	// access has read and made a branch of the repository. Absent: there is no
	// such class, and a branch is a branch.
	// +optional
	Forks *ForkPolicy `json:"forks,omitempty"`
	// max is how many previews the app may have at the same time.
	// +optional
	// +kubebuilder:default=20
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=500
	Max int `json:"max,omitempty"`
	// drift is what is done when somebody else changes what a release has made; see
	// that of environments. Absent: revert.
	// +optional
	// +kubebuilder:validation:Enum=revert;report
	Drift string `json:"drift,omitempty"`
}

// Quota is what all pods of a preview may request together. Pods of the old and the
// new release count while one takes the place of the other.
type Quota struct {
	// cpu is the sum of the requests.
	// +optional
	// +kubebuilder:default="4"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?m?$`
	CPU string `json:"cpu,omitempty"`
	// memory is the sum of the requests, and that of the limits.
	// +optional
	// +kubebuilder:default="8Gi"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?([KMGT]i?|k)?$`
	Memory string `json:"memory,omitempty"`
	// pods is the number of pods that have not ended.
	// +optional
	// +kubebuilder:default=30
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1000
	Pods int `json:"pods,omitempty"`
}

// ForkPolicy is what the platform owner allows of previews of code that comes from a
// fork. A rule with forks has to let them in.
type ForkPolicy struct {
	// heads are patterns of the branches of such pull requests, as their tokens name them.
	// +optional
	// +kubebuilder:default={"fork/*"}
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=255
	// +listType=set
	Heads []string `json:"heads,omitempty"`
	// quota is what all pods of one may request together.
	// +optional
	// +kubebuilder:default={cpu: "2", memory: "4Gi", pods: 15}
	Quota Quota `json:"quota,omitzero"`
	// idleTTL is how long one stays after the last push, "24h" by default.
	// +optional
	// +kubebuilder:default="24h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	IdleTTL string `json:"idleTTL,omitempty"`
	// ttl is how long one stays whatever is pushed, "72h" by default.
	// +optional
	// +kubebuilder:default="72h"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	TTL string `json:"ttl,omitempty"`
}

// PreviewDatabases are what throwaway databases are made of.
type PreviewDatabases struct {
	// postgres is what PostgreSQL databases are made of.
	// +optional
	Postgres *DatabaseClass `json:"postgres,omitempty"`
	// redis is what Redis databases are made of.
	// +optional
	Redis *DatabaseClass `json:"redis,omitempty"`
}

// DatabaseClass is what databases of one kind are made of.
type DatabaseClass struct {
	// image is the template of the image. "{version}" stands for what the app asks for,
	// such as "public.ecr.aws/docker/library/postgres:{version}".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// version is that of databases for which the app names none.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]{1,3}(\.[0-9]{1,3}){0,2}$`
	Version string `json:"version,omitempty"`
	// cpu is what one requests.
	// +optional
	// +kubebuilder:default="100m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?m?$`
	CPU string `json:"cpu,omitempty"`
	// memory is what one requests, and its limit.
	// +optional
	// +kubebuilder:default="256Mi"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?([KMGT]i?|k)?$`
	Memory string `json:"memory,omitempty"`
	// storage is the size of the volume that the data is on. Absent: it is on the node,
	// and as short-lived as the pod. A database is never put to sleep.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?([KMGT]i?|k)?$`
	Storage string `json:"storage,omitempty"`
	// storageClass is the class of the volume. Absent: the cluster's default.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	StorageClass string `json:"storageClass,omitempty"`
}

// CloneHook is a command that fills a new database from another one. It runs once for
// each database, outside of the preview: what it knows of its source is nowhere in the
// preview.
type CloneHook struct {
	// namespace is where it runs, and where the Secret of source is.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Namespace string `json:"namespace"`
	// image is what it runs in.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
	// command is what it runs. It finds the URLs of both databases in SOURCE_URL and TARGET_URL.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=4096
	// +listType=atomic
	Command []string `json:"command"`
	// source is the Secret that has the URL of the source under the key "url".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Source string `json:"source"`
	// timeout is how long it has.
	// +optional
	// +kubebuilder:default="15m"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+[hms])+$`
	Timeout string `json:"timeout,omitempty"`
}

// PreviewEgress is what pods of previews may connect to outside of their namespace.
type PreviewEgress struct {
	// open is true if they may connect to everything, private addresses too.
	// +optional
	Open bool `json:"open,omitempty"`
	// allow are address ranges that they may connect to although they are private.
	// +optional
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	// +listType=set
	Allow []string `json:"allow,omitempty"`
}
