package spec

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

func buildLevel() level[Build] {
	return level[Build]{"build", "How the image is made.", []key[Build]{
		to("method", oneOf(BuildDockerfile, BuildBuildpacks), func(b *Build) *string { return &b.Method }).
			says("A Dockerfile, or Cloud Native Buildpacks, which need the `pack` command where the workflow runs.", BuildDockerfile, "method: buildpacks"),
		to("context", buildContext(), func(b *Build) *string { return &b.Context }).
			says("Folder that the build sees, relative to the folder of this file. It may lead upwards, to the root of a repository with several apps.", ".", "context: ../.."),
		to("dockerfile", pathBelow(), func(b *Build) *string { return &b.Dockerfile }).
			says("The Dockerfile, relative to `context`.", "Dockerfile", "dockerfile: docker/Dockerfile"),
		to("args", variables(), func(b *Build) *map[string]string { return &b.Args }).
			says("Build arguments. They stay in the image's history: no secrets.", "", "args: {NODE_VERSION: 22}"),
		to("target", text(), func(b *Build) *string { return &b.Target }).
			says("Stage of the Dockerfile to build.", "the last one", "target: production"),
		to("builder", textIn("image reference", imagePattern, checkImage), func(b *Build) *string { return &b.Builder }).
			says("Image of the builder, with `method: buildpacks`.", DefaultBuilder, "method: buildpacks\nbuilder: paketobuildpacks/builder-jammy-base"),
		to("buildpacks", list(text(), "list of text"), func(b *Build) *[]string { return &b.Buildpacks }).
			says("Buildpacks to use, with `method: buildpacks`.", "what the builder detects", "method: buildpacks\nbuildpacks: [heroku/nodejs]"),
	}}
}

var imageShape = regexp.MustCompile(imagePattern)

const imagePattern = `^[a-z0-9][A-Za-z0-9._/:@-]*$`

func checkImage(text string) (string, error) {
	if !imageShape.MatchString(text) {
		return "", fmt.Errorf("want an image such as %s, got %s", DefaultBuilder, quoted(text))
	}
	return text, nil
}

// buildContext is a value of a relative path. It may lead upwards; that it stays
// inside the repository is checked by who knows where the file is.
func buildContext() value[string] {
	return value[string]{
		shape: textIn("relative path", `^[^/\\]`, nil).shape,
		parse: func(p *parser, e entry) string {
			text := p.text(e)
			if path.IsAbs(text) || strings.ContainsAny(text, "\\\r\n") {
				p.fail(e.value, "%s: want a path relative to the folder of %s, got %s", e.key.Value, p.file, quoted(text))
			}
			return path.Clean(text)
		},
	}
}

// pathBelow is a value of a path that stays inside the build's context by its
// own words; symbolic links are the builder's business.
func pathBelow() value[string] {
	return textIn("relative path", `^[^/\\]`, func(text string) (string, error) {
		clean := path.Clean(text)
		if path.IsAbs(text) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(text, "\\\r\n") {
			return "", fmt.Errorf("want a path below the build's context, got %s", quoted(text))
		}
		return clean, nil
	})
}

// checkBuild records what the method does not know, and fills in the defaults.
func (p *parser) checkBuild(at string, b *Build) {
	if b.Method == "" {
		b.Method = BuildDockerfile
	}
	if b.Context == "" {
		b.Context = "."
	}
	strangers := []string{"builder", "buildpacks"}
	if b.Method == BuildBuildpacks {
		strangers = []string{"dockerfile", "args", "target"}
	} else if b.Dockerfile == "" {
		b.Dockerfile = "Dockerfile"
	}
	for _, name := range strangers {
		p.failMark(below(at, "build", name), "%s: not with method: %s", name, b.Method)
	}
}
