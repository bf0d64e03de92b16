package convert

import (
	"regexp"
	"slices"
	"strings"
)

// builds says how the image of a Heroku app is built: by its Dockerfile if it
// has one, else as Heroku does, by buildpacks.
func (h *heroku) builds(start place) {
	listed := h.app.at("buildpacks")
	if h.exists(dockerfile) {
		listed.leave("there is a Dockerfile, which builds the image")
		return
	}
	h.build.set("method", "buildpacks", start).after = "there is no Dockerfile"
	var names []string
	for _, n := range listed.items() {
		if name := h.buildpack(n); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		h.build.set("buildpacks", names, listed.place)
	}
}

// buildpack returns the Cloud Native Buildpack that stands for a classic one,
// or nothing after naming it.
func (h *heroku) buildpack(n *node) string {
	url := n
	if n.kind == mapping {
		url = n.at("url")
	}
	text, ok := url.string()
	if !ok {
		return ""
	}
	name, ref, pinned := strings.Cut(text, "#")
	name = strings.TrimPrefix(name, "urn:buildpack:")
	// https://github.com/heroku/heroku-buildpack-ruby.git
	if parts := regexp.MustCompile(`^(?:https://|git://|git@)github\.com[/:]heroku/heroku-buildpack-([a-z-]+?)(?:\.git)?$`).FindStringSubmatch(name); parts != nil {
		name = parts[1]
	}
	name = strings.TrimPrefix(name, "heroku/")
	// https://github.com/heroku/cnb-builder-images/blob/main/builder-24/builder.toml
	if !slices.Contains([]string{"deb-packages", "dotnet", "go", "java", "jvm", "nodejs", "php", "procfile", "python", "ruby", "scala"}, name) {
		url.leave("is a classic buildpack without a Cloud Native one of the same name: the builder finds the others, or write a Dockerfile")
		return ""
	}
	if pinned {
		url.note("is heroku/%s of the builder here; a classic buildpack's %s is none of its versions", name, "#"+ref)
	}
	return "heroku/" + name
}
