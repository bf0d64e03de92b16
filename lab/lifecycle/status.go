package lifecycle

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/inhaul/inhaul/lab/github"
	"github.com/inhaul/inhaul/lab/layout"
	"github.com/inhaul/inhaul/lab/process"
)

// Print writes the state of a lab for people.
func Print(out io.Writer, lab *layout.Lab, records []process.Record) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "mode\t%s\ndirectory\t%s\nkubeconfig\t%s\nregistry\t%s\nGitHub\thttp://%s\n",
		lab.Mode, lab.Dir, lab.Kubeconfig, lab.Registry(), lab.GitHub())
	if lab.Mode == layout.Real {
		fmt.Fprintf(w, "proxy\thttp://%s\n", lab.Proxy())
	}
	fmt.Fprintf(w, "builder\t%s\n", cmp.Or(lab.Programs.Buildkitd, "none"))
	for _, r := range records {
		state := "running"
		if !r.Alive() {
			state = "ended, see " + lab.Log(r.Name)
		}
		fmt.Fprintf(w, "%s\tprocess %d, %s\n", r.Name, r.PID, state)
	}
	if len(records) == 0 {
		fmt.Fprintln(w, "processes\tnone: the lab is down")
	}
	return w.Flush()
}

// Env returns the variables of a lab in a fixed order.
func Env(lab *layout.Lab) [][2]string {
	var builder, buildx, builderName, proxy, nodeAddress string
	if lab.Programs.Buildkitd != "" {
		builder, buildx, builderName = "unix://"+lab.BuilderSocket(), lab.Programs.Buildx, BuilderName
	}
	if lab.Mode == layout.Real {
		proxy, nodeAddress = "http://"+lab.Proxy(), layout.NodeAddress
	}
	return [][2]string{
		{"KUBECONFIG", lab.Kubeconfig},
		{"DOCKER_CONFIG", lab.DockerConfig()},
		{"BUILDX_BUILDER", builderName},
		{"BUILDX_CONFIG", lab.BuildxConfig()},
		{"LAB_MODE", string(lab.Mode)},
		{"LAB_DIR", lab.Dir},
		{"LAB_KUBECTL", lab.Programs.Kubectl},
		{"LAB_REGISTRY", lab.Registry()},
		{"LAB_REGISTRY_CA", lab.CA()},
		{"LAB_REGISTRY_TOKEN_FILE", lab.TokenFile()},
		{"LAB_CA_BUNDLE", lab.CABundle()},
		{"LAB_MIRROR", lab.Mirror()},
		{"LAB_GITHUB_URL", "http://" + lab.GitHub()},
		{"LAB_GITHUB_APP_ID", strconv.Itoa(github.AppID)},
		{"LAB_GITHUB_APP_KEY", lab.AppKeyFile()},
		{"LAB_PROXY", proxy},
		{"LAB_BUILDER", builder},
		{"LAB_BUILDX", buildx},
		{"LAB_NODE_ADDRESS", nodeAddress},
		{"LAB_SANDBOX_IMAGE", lab.SandboxImage},
	}
}

// Quote makes a value one word of a POSIX shell.
func Quote(value string) string { return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'" }
