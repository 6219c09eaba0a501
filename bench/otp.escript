#!/usr/bin/env escript
%% The peer of bench/supervision.py: children under a one_for_one supervisor, crashed and asked until their
%% successors answer. A line "COUNT TIMES" crashes so many, so often; the answer is the median, in microseconds.
-mode(compile).
-export([init/1, start_child/1, handle_call/3, handle_cast/2]).

main([Count]) ->
    logger:set_primary_config(level, none),
    Names = [list_to_atom("child-" ++ integer_to_list(N)) || N <- lists:seq(1, list_to_integer(Count))],
    {ok, _} = supervisor:start_link({local, storm_sup}, ?MODULE, {supervisor, Names}),
    [ok = ask(Name) || Name <- Names],
    io:format("ready~n"),
    serve(Names).

serve(Names) ->
    case io:get_line("") of
        eof -> ok;
        Line ->
            [Count, Times] = [list_to_integer(Word) || Word <- string:lexemes(string:trim(Line), " ")],
            Crowd = lists:sublist(Names, Count),
            Took = lists:sort([crash(Crowd) || _ <- lists:seq(1, Times)]),
            io:format("~w~n", [lists:nth((Times + 1) div 2, Took) / 1000]),
            serve(Names)
    end.

crash(Crowd) ->
    %% The supervisor goes through all restarts of its period with each: those of an earlier storm must not count.
    length(Crowd) > 1 andalso timer:sleep(2100),
    Began = erlang:monotonic_time(nanosecond),
    [gen_server:cast(Name, crash) || Name <- Crowd],
    [ok = ask(Name) || Name <- Crowd],
    erlang:monotonic_time(nanosecond) - Began.

ask(Name) ->
    try gen_server:call(Name, ask)
    catch exit:_ -> erlang:yield(), ask(Name)
    end.

start_child(Name) -> gen_server:start_link({local, Name}, ?MODULE, child, []).

init({supervisor, Names}) ->
    Children = [#{id => Name, start => {?MODULE, start_child, [Name]}} || Name <- Names],
    {ok, {#{strategy => one_for_one, intensity => 1000000000, period => 1}, Children}};
init(child) -> {ok, nothing}.

handle_call(ask, _From, State) -> {reply, ok, State}.

handle_cast(crash, _State) -> error(as_ordered).
