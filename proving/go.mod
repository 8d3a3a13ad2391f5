module example.com/peercred/proving

go 1.26.0

require example.com/peercred v0.0.0

require (
	github.com/go-chi/chi/v5 v5.5.0
	golang.org/x/sys v0.49.0 // indirect
)

replace example.com/peercred => ../
