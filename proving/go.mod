module example.com/peercred/proving

go 1.26.0

require example.com/peercred v0.0.0

replace example.com/peercred => ../

require github.com/google/go-cmp v0.7.0
